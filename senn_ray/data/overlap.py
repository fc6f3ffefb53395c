"""Examples that are in the training and in the test part: results would be too good.

Only what users bring along is checked. The official parts of a known data set are what
they are, and torchvision checks their files.
"""

import hashlib
from collections.abc import Iterator

import numpy as np

from senn_ray.core.errors import DataError
from senn_ray.data.examples import RawData

CHUNK = 8192


def refuse_overlap(raw: RawData) -> None:
    """Compare the features of all training examples with those of the test part.

    Args:
        raw: The data set; parts with unlike features have no example in common.

    Raises:
        DataError: if there is an example in both.
    """
    known = set(_digests(raw.test_x))
    shared = {digest for digest in _digests(raw.train_x) if digest in known}
    if shared:
        raise DataError(
            f"{raw.name}: training and test parts share {len(shared)} identical "
            "examples, so test results would be too good; remove them from one part, "
            'or give a reason that every report will tell: --data.allow-overlap "WHY"'
        )


def _digests(x: np.ndarray) -> Iterator[bytes]:
    for start in range(0, len(x), CHUNK):
        rows = np.ascontiguousarray(x[start : start + CHUNK], dtype=np.float32)
        for row in rows + 0.0:  # -0.0 equals 0.0, but has other bytes.
            yield hashlib.blake2b(row.tobytes(), digest_size=16).digest()

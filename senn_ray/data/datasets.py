"""Data sets by name: every source ends as the same ``RawData`` arrays.

Image features are flattened from channels-first ``[C, H, W]``. The official training
part is shuffled once by a fixed seed and arranged so that the validation examples
come last (``splits.arranged``): a worker that trains on all of it then reads the
shared array in place.
"""

import dataclasses
import difflib
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from senn_ray.config import DataConfig
from senn_ray.core.errors import ConfigError, DataError
from senn_ray.data import parquet, vision
from senn_ray.data.examples import RawData
from senn_ray.data.sources import assemble, read_factory
from senn_ray.data.splits import arranged
from senn_ray.data.standardisation import (
    chunks_of,
    standardisation,
    target_standardisation,
)

OWN = ("parquet:", "factory:")
"""Data that users bring along."""
DIGITS_TEST_EXAMPLES = 500
DIGITS_VAL_PER_CLASS = 20
# Scans are compared over seeds, so the test part of digits never depends on one.
DIGITS_SPLIT_SEED = 20240607


def load(config: DataConfig) -> RawData:
    """Load the data set that the settings name, checked and ready to be shared.

    Args:
        config: The section ``data`` of the settings. An unknown name is a
            ``ConfigError``, files that are missing or unfit are a ``DataError``.
    """
    raw = _read(config)
    _check_features(raw)
    if config.dataset.startswith(OWN) and config.allow_overlap is None:
        refuse_overlap(raw)
    shift, scale = standardisation(raw)
    targets = target_standardisation(raw)
    ordered = arranged(raw, config)
    return dataclasses.replace(ordered, shift=shift, scale=scale, **targets)


def check(config: DataConfig) -> str:
    """Say what is known of a data set, without downloading it.

    Args:
        config: The section ``data`` of the settings; errors are those of ``load``.
    """
    root = vision.root_folder(config)
    if config.dataset in vision.NAMES and not vision.is_cached(config.dataset, root):
        return f"{config.dataset}: not in {root} yet, downloaded on first use"
    raw = load(config)
    return f"{raw.name}: {len(raw.train_y)} training, {len(raw.test_y)} test examples"


def _read(config: DataConfig) -> RawData:
    name, _, rest = config.dataset.partition(":")
    if name == "parquet" and rest:
        cache = vision.root_folder(config) / "parquet"
        return parquet.read(rest, memory_bytes=config.memory_gb * 1e9, cache=cache)
    if name == "factory" and rest:
        return read_factory(rest)
    if config.dataset in vision.NAMES:
        return vision.read(config.dataset, vision.root_folder(config))
    if config.dataset == "digits":
        return _read_digits()
    raise ConfigError(_unknown_message(config.dataset))


def _unknown_message(name: str) -> str:
    known = ["digits", *vision.NAMES]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return (
        f"data.dataset {name!r} is not known; {hint}choose {', '.join(known)}, "
        "parquet:URI or factory:package.module:function"
    )


def _read_digits() -> RawData:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    features, labels = load_digits(return_X_y=True)
    parts: list[Any] = train_test_split(
        features.astype(np.uint8),
        labels.astype(np.int64),
        test_size=DIGITS_TEST_EXAMPLES,
        stratify=labels,
        random_state=DIGITS_SPLIT_SEED,
    )
    train_x, test_x, train_y, test_y = parts
    return assemble(
        "digits",
        train=(train_x, train_y),
        test=(test_x, test_y),
        feature_shape=(1, 8, 8),
        val_per_class=DIGITS_VAL_PER_CLASS,
    )


def _check_features(raw: RawData) -> None:
    for part, x in (("training", raw.train_x), ("test", raw.test_x)):
        if x.dtype == np.uint8:
            continue
        finite = [np.isfinite(chunk).all(axis=1) for chunk in chunks_of(x)]
        bad = np.flatnonzero(~np.concatenate(finite))
        if len(bad):
            raise DataError(
                f"{raw.name}: {len(bad)} {part} examples have NaN or infinite "
                f"features (the first is number {bad[0]}); remove or repair them"
            )


def refuse_overlap(raw: RawData) -> None:
    """Compare the features of all training examples with those of the test part.

    Only data of one's own is checked: an example in both parts makes test results too
    good. The official parts of a known data set are what they are.

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
    for chunk in chunks_of(x):
        rows = np.ascontiguousarray(chunk, dtype=np.float32)
        for row in rows + 0.0:  # -0.0 equals 0.0, but has other bytes.
            yield hashlib.blake2b(row.tobytes(), digest_size=16).digest()

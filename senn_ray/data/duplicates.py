"""Duplicates: examples in both parts, and copies within the training part.

An example that is in both parts makes test results too good. Tables of few distinct rows
have such examples by nature, and say so themselves: as large a share of their training
examples has a twin among the other training examples. What exceeds that is an accident.
"""

from dataclasses import dataclass

import numpy as np

from senn_ray.core.errors import DataError
from senn_ray.data.examples import RawData
from senn_ray.data.standardisation import chunks_of

MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))
"""Odd constants of the finaliser of splitmix64."""
FACTOR, DEVIATIONS = 2.0, 3.0
"""Twins across parts are natural up to so many times their share within one, and so many
standard deviations more."""
MANY_COPIES = 0.1


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """How many examples have a twin, by features alone."""

    shared: int
    """Distinct examples in both parts."""
    test_hit: int
    """Test examples with a twin in the training part."""
    copies: int
    """Training examples with a twin among the other training examples."""
    n_train: int
    n_test: int

    @property
    def natural(self) -> bool:
        """Whether the training part alone would lead one to expect as many."""
        expected = self.n_test * min(1.0, FACTOR * self.copies / self.n_train)
        return self.test_hit <= expected + DEVIATIONS * np.sqrt(expected)


def find_duplicates(raw: RawData) -> Duplicates:
    """Count examples with equal features, within the training part and across parts."""
    train, test = row_hashes(raw.train_x), row_hashes(raw.test_x)
    values, counts = np.unique(train, return_counts=True)
    return Duplicates(
        shared=len(np.intersect1d(values, test)),
        test_hit=int(np.isin(test, values).sum()),
        copies=int(counts[counts > 1].sum()),
        n_train=len(train),
        n_test=len(test),
    )


def check_duplicates(raw: RawData, *, allowed: bool, own_split: bool) -> list[str]:
    """Refuse accidents, and tell of the rest.

    Args:
        raw: The data set.
        allowed: Whether the user gave a reason for examples in both parts.
        own_split: Whether the test part was taken at random from one table.

    Returns:
        Notes for readers of results.

    Raises:
        DataError: if more examples are in both parts than the data explain.
    """
    found = find_duplicates(raw)
    notes = []
    if found.shared and not (allowed or own_split or found.natural):
        raise DataError(
            f"{raw.name}: training and test parts share {found.shared} identical "
            "examples, so test results would be too good; remove them from one part, "
            'or give a reason that every report will tell: --data.allow-overlap "WHY"'
        )
    if found.shared:
        notes.append(
            f"{found.test_hit} of {found.n_test} test examples have the features of a "
            f"training example ({found.shared} distinct ones)"
        )
    if found.copies > MANY_COPIES * found.n_train:
        notes.append(
            f"{found.copies} of {found.n_train} training examples have the features of "
            "another: where validation examples are copies of training ones, validation "
            "losses are too good"
        )
    return notes


def row_hashes(x: np.ndarray) -> np.ndarray:
    """Hash each example [n, d] to 64 bits: equal numbers have equal hashes."""
    place = np.random.default_rng(0).integers(0, 2**63, x.shape[1], dtype=np.uint64)
    found = []
    rows = max(1, 1_000_000 // max(1, x.shape[1]))
    for chunk in chunks_of(x):
        for start in range(0, len(chunk), rows):
            # -0.0 equals 0.0, but has other bytes.
            part = np.ascontiguousarray(chunk[start : start + rows], np.float32) + 0.0
            bits = part.view(np.uint32).astype(np.uint64)
            bits = (bits ^ place) * MIX[0]
            bits ^= bits >> np.uint64(32)
            bits *= MIX[1]
            bits ^= bits >> np.uint64(29)
            total = bits.sum(1)
            found.append((total ^ (total >> np.uint64(31))) * MIX[0])
    return np.concatenate(found) if found else np.zeros(0, np.uint64)

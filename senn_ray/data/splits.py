"""Splits: a constant validation part, and nested stratified subsets for training.

Both come from the official training part, and are disjoint. The validation part has the
shares of the classes (of a regression those of the tenths of its targets), or equal numbers
of each class where that is asked for. It is the last examples of each class in the order
of the arrays: it does not depend on ``per_class`` or any seed, so it is the same over a
whole scan. The subset of k examples per class is the first k of a permutation of the
others that follows from the subset seed and the class: a smaller subset lies inside a
larger one. For ``per_class`` a regression counts as one class.
"""

import dataclasses
import warnings
from dataclasses import dataclass

import numpy as np
import torch

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.core.seeds import derive
from senn_ray.data.examples import Examples, RawData
from senn_ray.data.standardisation import standardisation, standardised

SHUFFLE_SEED = 0
LEAST, MOST = 200, 5000
"""Least and most validation examples, if nothing is said."""
SHARE, SHARE_OF_FEW = 10, 4
"""A tenth is held out; of few examples up to a quarter, for a loss that means something."""
LEAST_OF_CLASS = 5
"""Least number of each class, up to a quarter of it, however rare it is."""
TENTHS = 10


@dataclass(frozen=True, kw_only=True)
class Split:
    """Indices into the official training part, sorted and disjoint."""

    train: np.ndarray
    """int64 [n_train]."""
    val: np.ndarray
    """int64 [n_val]."""


def split(raw: RawData, config: DataConfig) -> Split:
    """Choose the training and validation examples.

    Args:
        raw: The data set.
        config: Size of the validation part, number per class, and the seed of the
            subset. A class with too few examples is a ``DataError`` that names the
            largest valid number.
    """
    is_val = np.zeros(len(raw.train_y), dtype=bool)
    strata = _strata(raw)
    counts = _held_out(raw, config, np.array([len(members) for members in strata]))
    for members, count in zip(strata, counts, strict=True):
        is_val[members[len(members) - count :]] = True
    left = [
        (label, len(members), members[~is_val[members]])
        for label, members in _classes(raw)
    ]
    # The class that can give least is named, or its number would be the next refusal.
    label, count, rest = min(left, key=lambda item: len(item[2]))
    _check_left(config, label, count, len(rest))
    train = []
    for label, _, rest in left:
        if config.per_class != "all":
            seed = derive(config.subset_seed, "subset", label)
            order = np.random.default_rng(seed).permutation(len(rest))
            train.append(rest[order[: config.per_class]])
        else:
            train.append(rest)
    return Split(train=np.sort(np.concatenate(train)), val=np.flatnonzero(is_val))


def most_per_class(raw: RawData, config: DataConfig) -> int:
    """Return the most training examples per class that every class can give."""
    everything = split(raw, config.model_copy(update={"per_class": "all"})).train
    if raw.task == "regression":
        return len(everything)
    labels = raw.train_y[everything]
    return int(np.bincount(labels, minlength=raw.num_outputs).min())


def arranged(raw: RawData, config: DataConfig) -> RawData:
    """Shuffle the training part by a fixed seed, with the validation examples last.

    Files may be in an order that means something; and with validation last, all other
    examples are one slice of the shared array, read without a copy. Features in a file
    stay where they are, or every size of the validation part would need a file.

    Args:
        raw: The data set, as read.
        config: Settings that fix the size of the validation part. A class with too
            few examples is a ``DataError``.
    """
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(raw.train_y))
    shuffled = dataclasses.replace(raw, train_y=raw.train_y[order])
    parts = split(shuffled, config.model_copy(update={"per_class": "all"}))
    order = order[np.concatenate([parts.train, parts.val])]
    in_file = isinstance(raw.train_x, np.memmap)
    result = dataclasses.replace(
        raw,
        train_x=raw.train_x if in_file else raw.train_x[order],
        train_y=raw.train_y[order],
        rows=order if in_file else None,
    )
    split(result, config)  # A wrong per_class is said before any work is planned.
    return result


def examples(raw: RawData, parts: Split) -> tuple[Examples, Examples]:
    """Return the training and the validation examples, with the same standardisation.

    Consecutive examples are views of the arrays of the data set, features in a file
    always are.
    """
    train, val = (
        _examples(raw, raw.train_x, raw.train_y, indices, raw.rows)
        for indices in (parts.train, parts.val)
    )
    return train, val


def test_examples(raw: RawData) -> Examples:
    """Return the test examples, standardised by the training features."""
    return _examples(raw, raw.test_x, raw.test_y, np.arange(len(raw.test_y)), None)


# pytest would take it for a test where it is imported.
test_examples.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]


def share_gap(train_y: torch.Tensor, val_y: torch.Tensor) -> float | None:
    """Return the total variation distance between the class frequencies of two parts.

    It is the least fraction of one part that would have to change its class for both
    to have the same frequencies: 0 if they are alike, 1 if they share no class.

    Args:
        train_y: Classes [n]; targets [n, m] have no classes.
        val_y: Classes [m].
    """
    if train_y.is_floating_point() or not len(train_y) or not len(val_y):
        return None
    most = int(max(train_y.max(), val_y.max())) + 1
    shares = [
        torch.bincount(labels, minlength=most).double() / len(labels)
        for labels in (train_y, val_y)
    ]
    return float((shares[0] - shares[1]).abs().sum() / 2)


def _classes(raw: RawData) -> list[tuple[int | None, np.ndarray]]:
    """Return each class with the indices of its examples, in the order of the arrays."""
    if raw.task == "regression":
        return [(None, np.arange(len(raw.train_y)))]
    return list(enumerate(_by_label(raw.train_y, raw.num_outputs)))


def _strata(raw: RawData) -> list[np.ndarray]:
    """Divide the examples into what the validation part has the shares of."""
    if raw.task == "classification":
        return _by_label(raw.train_y, raw.num_outputs)
    # By value and not by rank: the tenth of an example must not depend on the order of
    # the arrays, which ``arranged`` changes.
    first = raw.train_y[:, 0]
    inner = np.quantile(first, np.arange(1, TENTHS) / TENTHS)
    return _by_label(np.searchsorted(inner, first), TENTHS)


def _by_label(labels: np.ndarray, count: int) -> list[np.ndarray]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.cumsum(np.bincount(labels, minlength=count))[:-1])


def _held_out(raw: RawData, config: DataConfig, sizes: np.ndarray) -> np.ndarray:
    """Return how many examples of each stratum [s] go to validation, int64 [s]."""
    equal = config.val_per_class
    if config.val_fraction is None:
        equal = equal or raw.default_val_per_class
    if equal is not None:
        return _equal_numbers(raw, equal, sizes)
    total = int(sizes.sum())
    few = min(LEAST, total // SHARE_OF_FEW)
    usual = max(1, min(MOST, max(total // SHARE, few))) / total
    # Sums are rounded, not shares: the whole has the right size, however many parts.
    ends = np.rint(np.cumsum(sizes) * (config.val_fraction or usual))
    counts = np.diff(ends.astype(np.int64), prepend=0)
    if raw.task == "classification":
        counts = np.maximum(counts, np.minimum(LEAST_OF_CLASS, sizes // SHARE_OF_FEW))
        # A class of few is still in both parts; one of a single example must be learnt.
        counts = np.minimum(np.maximum(counts, 1), sizes - 1)
    if not 0 < counts.sum() < total:
        raise DataError(
            f"{raw.name}: {total} training examples are too few to hold "
            f"{config.val_fraction or usual:g} of them out for validation; give more "
            "examples, or another data.val_fraction"
        )
    return counts


def _equal_numbers(raw: RawData, each: int, sizes: np.ndarray) -> np.ndarray:
    """Hold out ``each`` of every class, or of a regression of all; refuse too many."""
    regression = raw.task == "regression"
    rarest = int(sizes.sum() if regression else sizes.min())
    if each >= rarest:
        what = "the data set" if regression else f"class {int(sizes.argmin())}"
        raise DataError(
            f"data.val_per_class={each}: {what} has {rarest} training examples; use at "
            f"most {rarest - 1}"
        )
    if not regression:
        return np.full(len(sizes), each)
    ends = np.rint(np.cumsum(sizes) * (each / rarest))
    return np.diff(ends.astype(np.int64), prepend=0)


def _check_left(config: DataConfig, label: int | None, count: int, left: int) -> None:
    """Refuse a number per class that a class cannot give."""
    if config.per_class != "all" and config.per_class > left:
        what = "the data set" if label is None else f"class {label}"
        raise DataError(
            f"data.per_class={config.per_class}: {what} has {count} training examples, "
            f"{count - left} of them go to validation; use at most {left}, or 'all'"
        )


def _take(array: np.ndarray, indices: np.ndarray) -> torch.Tensor:
    """Return rows as a tensor: a view where they are consecutive, else a copy."""
    if len(indices) and indices[-1] - indices[0] + 1 == len(indices):
        rows = array[indices[0] : indices[-1] + 1]
    else:
        rows = array[indices]
    with warnings.catch_warnings():
        # Arrays of the object store are read-only, and examples are never written to.
        warnings.filterwarnings("ignore", message=".*not writable")
        return torch.from_numpy(rows)


def _examples(
    raw: RawData,
    x: np.ndarray,
    y: np.ndarray,
    indices: np.ndarray,
    rows: np.ndarray | None,
) -> Examples:
    """Take some examples of a part."""
    shift, scale = standardisation(raw)
    chosen = indices if rows is None else np.arange(len(x))
    return Examples(
        x=_take(x, chosen),
        y=standardised(raw, _take(y, indices)),
        shift=torch.tensor(shift),
        scale=torch.tensor(scale),
        rows=None if rows is None else torch.from_numpy(rows[indices]),
    )

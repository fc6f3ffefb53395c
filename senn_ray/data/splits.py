"""Splits: a constant validation part, and nested stratified subsets for training.

Both come from the official training part, and are disjoint. The validation part is
the last ``val_per_class`` examples of each class, in the order of the arrays: it does
not depend on ``per_class`` or any seed, so it is the same over a whole scan. The
subset of k examples per class is the first k of a permutation of the others that
follows from the subset seed and the class: a smaller subset lies inside a larger one.
A regression counts as one class: its ``per_class`` is a number of examples.
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
        config: Numbers per class, and the seed of the subset. A class with too few
            examples is a ``DataError`` that names the largest valid number.
    """
    per_class = config.val_per_class or raw.default_val_per_class
    train, val = [], []
    classes = _classes(raw)
    _check_counts(config, classes, per_class)
    for label, members in classes:
        rest, held_out = members[:-per_class], members[-per_class:]
        if config.per_class != "all":
            seed = derive(config.subset_seed, "subset", label)
            order = np.random.default_rng(seed).permutation(len(rest))
            rest = rest[order[: config.per_class]]
        train.append(rest)
        val.append(held_out)
    return Split(train=np.sort(np.concatenate(train)), val=np.sort(np.concatenate(val)))


def most_per_class(raw: RawData, config: DataConfig) -> int:
    """Return the most training examples per class that every class can give."""
    held_out = config.val_per_class or raw.default_val_per_class
    return min(len(members) for _, members in _classes(raw)) - held_out


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
    order = np.argsort(raw.train_y, kind="stable")
    ends = np.cumsum(np.bincount(raw.train_y, minlength=raw.num_outputs))[:-1]
    return list(enumerate(np.split(order, ends)))


def _check_counts(
    config: DataConfig,
    classes: list[tuple[int | None, np.ndarray]],
    val_per_class: int,
) -> None:
    """Refuse numbers that the rarest class cannot give."""
    label, members = min(classes, key=lambda item: len(item[1]))
    what = "the data set" if label is None else f"class {label}"
    count, left = len(members), len(members) - val_per_class
    if left < 1:
        raise DataError(
            f"data.val_per_class={val_per_class}: {what} has {count} training "
            f"examples; use at most {count - 1}"
        )
    if config.per_class != "all" and config.per_class > left:
        raise DataError(
            f"data.per_class={config.per_class}: {what} has {count} training examples, "
            f"{val_per_class} of them go to validation; use at most {left}, or 'all'"
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

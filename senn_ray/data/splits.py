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
from senn_ray.data.mapped import permuted

SHUFFLE_SEED = 0
CHUNK = 8192
LEAST_DEVIATION = 1e-6


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
    """Return the most training examples per class that every class can give.

    Args:
        raw: The data set.
        config: Settings that fix the size of the validation part.
    """
    held_out = config.val_per_class or raw.default_val_per_class
    return min(len(members) for _, members in _classes(raw)) - held_out


def arranged(raw: RawData, config: DataConfig) -> RawData:
    """Shuffle the training part by a fixed seed, with the validation examples last.

    Files may be in an order that means something; and with validation last, all other
    examples are one slice of the shared array, read without a copy.

    Args:
        raw: The data set, as read.
        config: Settings that fix the size of the validation part. A class with too
            few examples is a ``DataError``.
    """
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(raw.train_y))
    shuffled = dataclasses.replace(raw, train_y=raw.train_y[order])
    parts = split(shuffled, config.model_copy(update={"per_class": "all"}))
    order = order[np.concatenate([parts.train, parts.val])]
    name = f"{config.val_per_class or raw.default_val_per_class}"
    result = dataclasses.replace(
        raw,
        train_x=permuted(raw.train_x, order, name),
        train_y=raw.train_y[order],
    )
    split(result, config)  # A wrong per_class is said before any work is planned.
    return result


def standardisation(raw: RawData) -> tuple[np.ndarray, np.ndarray]:
    """Return shift and scale of the features of the official training part.

    Images share one number, [1]; tables have one per feature, [d]. Validation
    examples count, so that the numbers are the same over a scan.

    Args:
        raw: The data set.
    """
    axis = None if len(raw.feature_shape) > 1 else 0
    count, total, squares = 0, np.zeros(1), np.zeros(1)
    for start in range(0, len(raw.train_x), CHUNK):
        chunk = raw.train_x[start : start + CHUNK].astype(np.float64)
        count += chunk.size if axis is None else len(chunk)
        total = total + chunk.sum(axis=axis)
        squares = squares + (chunk * chunk).sum(axis=axis)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    # A constant feature carries nothing; dividing by rounding error would blow it up.
    deviation[deviation <= LEAST_DEVIATION * np.abs(mean)] = 1.0
    return mean.astype(np.float32), deviation.astype(np.float32)


def target_standardisation(raw: RawData) -> dict[str, np.ndarray]:
    """Return what makes targets of a regression have mean 0 and variance 1, each.

    Without it a network would spend its steps on finding their mean and their size,
    which may be anything: house prices, say.

    Args:
        raw: The data set.

    Returns:
        ``target_shift`` and ``target_scale``; nothing for classes.
    """
    if raw.task == "classification":
        return {}
    values = raw.train_y.astype(np.float64)
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    deviation[deviation <= LEAST_DEVIATION * np.abs(mean)] = 1.0
    return {
        "target_shift": mean.astype(np.float32),
        "target_scale": deviation.astype(np.float32),
    }


def standardised(raw: RawData, targets: torch.Tensor) -> torch.Tensor:
    """Return targets, or outputs in their units, as networks learn them.

    Args:
        raw: The data set.
        targets: [n, num_outputs]; classes [n] stay as they are.
    """
    if raw.target_shift is None or raw.target_scale is None:
        return targets
    return (targets - torch.tensor(raw.target_shift)) / torch.tensor(raw.target_scale)


def examples(raw: RawData, parts: Split) -> tuple[Examples, Examples]:
    """Return the training and the validation examples, with the same standardisation.

    Args:
        raw: The data set; consecutive examples are views of its arrays.
        parts: The split, from ``split``.
    """
    scaling = _scaling(raw)
    train, val = (
        Examples(
            x=_take(raw.train_x, indices),
            y=standardised(raw, _take(raw.train_y, indices)),
            **scaling,
        )
        for indices in (parts.train, parts.val)
    )
    return train, val


def test_examples(raw: RawData) -> Examples:
    """Return the test examples, standardised by the training features."""
    everything = np.arange(len(raw.test_y))
    return Examples(
        x=_take(raw.test_x, everything),
        y=standardised(raw, _take(raw.test_y, everything)),
        **_scaling(raw),
    )


# pytest would take it for a test where it is imported.
test_examples.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]


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


def _scaling(raw: RawData) -> dict[str, torch.Tensor]:
    if raw.shift is None or raw.scale is None:
        shift, scale = standardisation(raw)
    else:
        shift, scale = raw.shift, raw.scale
    return {"shift": torch.tensor(shift), "scale": torch.tensor(scale)}

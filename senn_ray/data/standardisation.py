"""Standardisation: features, and targets of a regression, to mean 0 and variance 1.

A feature x is standardised twice over, so that float32 is enough whatever its unit:

    stored = (x - origin) / unit        float64, while the data set is read
    z      = (stored - shift) / scale   float32, batch by batch

Features that float32 holds well as they are (bytes and images, most tables) have no
``origin``. A time stamp of 1.7e9 s, which float32 knows to 128 s only, has one.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from senn_ray.data.codes import (
    Column,
    Labels,
    column_from_json,
    column_to_json,
    labels_from_json,
    labels_to_json,
)
from senn_ray.data.examples import Encoding, RawData, Task

CHUNK = 8192
"""Number of examples that are read at a time."""
FAR = 8.0
"""Most standard deviations between zero and the mean of a feature that is stored as it
is: float32 then knows it to 8 * 2**-24, 5e-7 of a standard deviation."""
RANGE = (1e-30, 1e30)
"""Least standard deviation and largest value that float32 holds with room to spare."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Moments of features in float64, each [d], or [1] if all features share them."""

    mean: np.ndarray
    deviation: np.ndarray
    """Population standard deviation."""
    largest: np.ndarray
    """Largest absolute value."""
    span: np.ndarray
    """Largest minus smallest value."""

    def constant(self, dtype: np.dtype[Any]) -> np.ndarray:
        """Tell which features do not vary beyond the precision of their own type."""
        inexact = np.issubdtype(dtype, np.floating)
        return self.span <= (np.finfo(dtype).eps if inexact else 0.0) * self.largest


def chunks_of(x: np.ndarray) -> Iterator[np.ndarray]:
    """Give rows of an array [n, ...], some at a time."""
    return (x[start : start + CHUNK] for start in range(0, len(x), CHUNK))


def moments(chunks: Iterable[np.ndarray], *, shared: bool) -> Moments | None:
    """Measure moments in one pass over examples [n, ...], some at a time.

    Args:
        chunks: The examples, in any number of pieces.
        shared: One moment for all features, as for the pixels of an image.

    Returns:
        Nothing if a value is NaN or infinite.
    """
    from sklearn.preprocessing import StandardScaler

    # partial_fit merges chunks around their means; sums of squares would lose all
    # digits of a column that is far from zero.
    scaler, low, high = StandardScaler(), np.inf, -np.inf
    # The variance of values above 1e154 is infinite, of those below 1e-162 zero:
    # ``encoding`` then goes by the largest value.
    with np.errstate(over="ignore", invalid="ignore"):
        for chunk in chunks:
            values = chunk.astype(np.float64)
            values = values.reshape(-1, 1) if shared else values.reshape(len(chunk), -1)
            if not np.isfinite(values).all():
                return None
            scaler.partial_fit(values)
            low = np.minimum(low, values.min(axis=0))
            high = np.maximum(high, values.max(axis=0))
    low, high = np.asarray(low), np.asarray(high)
    return Moments(
        mean=np.asarray(scaler.mean_),
        deviation=np.sqrt(np.asarray(scaler.var_)),
        largest=np.maximum(np.abs(low), np.abs(high)),
        span=high - low,
    )


def _float32_suffices(found: Moments) -> np.ndarray:
    """Tell which columns lose nothing that matters as float32."""
    near = np.abs(found.mean) <= FAR * found.deviation
    fine = near & (found.deviation > RANGE[0]) | (found.span == 0)
    return fine & (found.largest < RANGE[1])


def encoding(
    chunks: Iterable[np.ndarray], dtype: np.dtype[Any], *, shared: bool
) -> Encoding | None:
    """Choose origin and unit of features that float32 cannot hold as they are.

    Args:
        chunks: Features of the official training part, not read if float32 holds
            every number of ``dtype``.
        dtype: Type of the features as they were given.
        shared: One origin and unit for all features.
    """
    if np.can_cast(dtype, np.float32):
        return None
    found = moments(chunks, shared=shared)
    if found is None or (fine := _float32_suffices(found)).all():
        return None
    measurable = (found.deviation > 0) & np.isfinite(found.deviation)
    varies = measurable & ~found.constant(dtype)
    size = np.where(varies, found.deviation, found.largest)
    # Powers of two divide without rounding. The origin is a multiple of the unit, so
    # that the last bits of a mean, and thus the size of chunks, do not matter.
    unit = np.where(fine, 1.0, np.ldexp(1.0, np.frexp(size)[1]))
    origin = np.where(fine, 0.0, unit * np.rint(found.mean / unit))
    return Encoding(origin=origin, unit=unit)


def stored(x: np.ndarray, found: Encoding | None) -> np.ndarray:
    """Return features [n, ...] as rows [n, d] of uint8 or float32, as they are kept."""
    flat = x.reshape(len(x), -1)
    if found is not None:
        flat = (flat.astype(np.float64) - found.origin) / found.unit
    return flat if flat.dtype == np.uint8 else flat.astype(np.float32, copy=False)


def in_own_units(x: Tensor, found: Encoding | None) -> Tensor:
    """Return stored features [n, d] as the data set has them; inverse of ``stored``."""
    if found is None:
        return x.float()
    return x.double() * torch.from_numpy(found.unit) + torch.from_numpy(found.origin)


def standardisation(raw: RawData) -> tuple[np.ndarray, np.ndarray]:
    """Return shift and scale of the stored features, float32, [1] (images) or [d].

    Validation examples count, so that the numbers are the same over a scan.
    """
    if raw.shift is not None and raw.scale is not None:
        return raw.shift, raw.scale
    shared = len(raw.feature_shape) > 1
    found = moments(chunks_of(raw.train_x), shared=shared)
    if found is None:
        raise ValueError("features must be finite")
    if raw.encoding is not None:
        # Stored in its unit, the rounding noise of a constant is noise around 1.
        moved = raw.encoding.unit != 1.0
        largest = np.where(moved, np.maximum(found.largest, 1.0), found.largest)
        found = dataclasses.replace(found, largest=largest)
    return _shift_and_scale(found, raw.train_x.dtype, np.float32)


def _shift_and_scale(
    found: Moments, dtype: np.dtype[Any], precision: type[np.floating[Any]]
) -> tuple[np.ndarray, np.ndarray]:
    # A constant carries nothing: it is moved to zero. What rounding left of it is
    # divided by the size of the constant, and so stays as small as it is.
    least = np.finfo(precision).tiny
    constant = found.constant(dtype) | (found.deviation < least)
    size = np.maximum(np.abs(found.mean), 1.0)
    own = np.where(found.span == 0, 1.0, size)
    scale = np.where(constant, own, found.deviation)
    return found.mean.astype(precision), scale.astype(precision)


def target_standardisation(raw: RawData) -> dict[str, np.ndarray]:
    """Return shift and scale of the targets of a regression, in their precision.

    Without it a network would spend its steps on finding their mean and their size,
    which may be anything: house prices, say.

    Returns:
        ``target_shift`` and ``target_scale``, each [num_outputs]; nothing for classes.
    """
    if raw.task == "classification":
        return {}
    found, dtype = moments([raw.train_y], shared=False), raw.train_y.dtype
    if found is None:
        raise ValueError("targets must be finite")
    shift, scale = _shift_and_scale(found, dtype, dtype.type)
    return {"target_shift": shift, "target_scale": scale}


def stored_targets(train_y: np.ndarray, test_y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return targets [n, m] of both parts as float32, or float64 where that loses them."""
    found = moments([train_y], shared=False)
    enough = found is None or _float32_suffices(found).all()
    wide = not enough and not np.can_cast(train_y.dtype, np.float32)
    dtype = np.float64 if wide else np.float32
    return train_y.astype(dtype, copy=False), test_y.astype(dtype, copy=False)


def standardised(raw: RawData, targets: Tensor) -> Tensor:
    """Return targets, or outputs in their units, as networks learn them.

    Args:
        raw: The data set.
        targets: [n, num_outputs]; classes [n] stay as they are.
    """
    if raw.target_shift is None or raw.target_scale is None:
        return targets
    shift, scale = torch.tensor(raw.target_shift), torch.tensor(raw.target_scale)
    return ((targets - shift) / scale).float()


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a network takes in and gives: a checkpoint is of use without its data set."""

    task: Task
    feature_shape: tuple[int, ...]
    feature_dtype: str
    """Of the features that an exported network takes, as the data set has them."""
    shift: Tensor
    """[1] or [d], float32; float64 if float32 cannot hold the features."""
    scale: Tensor
    target_shift: Tensor | None = None
    """[n_out]: of a regression, if its targets were standardised; float64 if float32
    cannot hold the targets."""
    target_scale: Tensor | None = None
    columns: tuple[Column, ...] = ()
    """How a table becomes features, if the data set was one."""
    labels: Labels | None = None
    """What the outputs stand for, if the data set told."""


def inputs_of(raw: RawData) -> Inputs:
    """Describe the inputs of networks that are trained on a data set."""
    shift, scale = standardisation(raw)
    dtype = str(raw.train_x.dtype)
    if raw.encoding is not None:
        origin, unit, dtype = raw.encoding.origin, raw.encoding.unit, "float64"
        shift, scale = origin + unit * shift, unit * scale
    targets = (raw.target_shift, raw.target_scale)
    target_shift, target_scale = (t if t is None else torch.tensor(t) for t in targets)
    return Inputs(
        task=raw.task,
        feature_shape=tuple(map(int, raw.feature_shape)),
        feature_dtype=dtype,
        shift=torch.tensor(shift),
        scale=torch.tensor(scale),
        target_shift=target_shift,
        target_scale=target_scale,
        columns=raw.columns,
        labels=raw.labels,
    )


def to_dict(inputs: Inputs) -> dict[str, Any]:
    """Return what a checkpoint can hold of inputs."""
    flat = {f.name: getattr(inputs, f.name) for f in dataclasses.fields(inputs)}
    return {
        **flat,
        "columns": [column_to_json(column) for column in inputs.columns],
        "labels": inputs.labels and labels_to_json(inputs.labels),
    }


def from_dict(values: dict[str, Any] | None) -> Inputs | None:
    """Read what ``to_dict`` gave; old checkpoints hold nothing."""
    if values is None:
        return None
    labels = values.get("labels")
    return Inputs(**{
        **values,
        "feature_shape": tuple(values["feature_shape"]),
        "columns": tuple(map(column_from_json, values.get("columns", ()))),
        "labels": labels and labels_from_json(labels),
    })

"""What a network takes in and gives: so a checkpoint is of use without its data set."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from senn_ray.data.examples import RawData, Task
from senn_ray.data.splits import standardisation


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The standardisation of raw features and of targets, and their kind."""

    task: Task
    feature_shape: tuple[int, ...]
    feature_dtype: str
    shift: Tensor
    scale: Tensor
    target_shift: Tensor | None = None
    """[n_out]: of a regression, if its targets were standardised."""
    target_scale: Tensor | None = None


def inputs_of(raw: RawData) -> Inputs:
    """Describe the inputs of networks that are trained on a data set.

    Args:
        raw: The data set.
    """
    known = None if raw.shift is None or raw.scale is None else (raw.shift, raw.scale)
    shift, scale = known or standardisation(raw)
    return Inputs(
        task=raw.task,
        feature_shape=tuple(map(int, raw.feature_shape)),
        feature_dtype=str(raw.train_x.dtype),
        shift=torch.tensor(shift),
        scale=torch.tensor(scale),
        target_shift=_tensor(raw.target_shift),
        target_scale=_tensor(raw.target_scale),
    )


def _tensor(values: np.ndarray | None) -> Tensor | None:
    return None if values is None else torch.tensor(values)


def to_dict(inputs: Inputs) -> dict[str, Any]:
    """Return what a checkpoint can hold.

    Args:
        inputs: The inputs.
    """
    return asdict(inputs)


def from_dict(values: dict[str, Any] | None) -> Inputs | None:
    """Read what a checkpoint holds; old ones hold nothing.

    Args:
        values: What ``to_dict`` gave.
    """
    if values is None:
        return None
    shape = tuple(values["feature_shape"])
    return Inputs(**{**values, "feature_shape": shape})

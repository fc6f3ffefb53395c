"""Examples: raw arrays of a data set, their split, and batches on demand."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

Task = Literal["classification", "regression"]


@dataclass(frozen=True, kw_only=True)
class RawData:
    """A data set as arrays, put once in the object store and never written to.

    ``train_*`` is the official training part (validation is taken from it), ``test_*``
    the official test part.
    """

    name: str
    task: Task
    num_outputs: int
    """Classes, or targets of a regression."""
    feature_shape: tuple[int, ...]
    train_x: np.ndarray
    """[n, prod(feature_shape)], uint8 or float32."""
    train_y: np.ndarray
    """int64 [n] classes, or float32 [n, num_outputs] targets."""
    test_x: np.ndarray
    test_y: np.ndarray
    default_val_per_class: int
    shift: np.ndarray | None = None
    """float32, [1] or [d]: standardisation of the official training features, measured
    when the data set is loaded; measured again by each user if left out."""
    scale: np.ndarray | None = None
    target_shift: np.ndarray | None = None
    """float32 [num_outputs]: standardisation of the targets of a regression, measured
    when the data set is loaded; targets are learnt as they are if left out."""
    target_scale: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Examples:
    """One part of a data set: raw features, labels, and the standardisation."""

    x: torch.Tensor
    """[n, d], raw dtype."""
    y: torch.Tensor
    """Classes [n], or standardised targets [n, num_outputs]."""
    shift: torch.Tensor
    """[1] or [d]: subtracted from the features, which take its precision."""
    scale: torch.Tensor
    """[1] or [d]: then divided by."""

    def __len__(self) -> int:
        """Count the examples."""
        return len(self.x)

    def batch(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return standardised features [b, d] and labels of some examples."""
        # index_select copies, so the arithmetic may be in place; indexing is slower.
        x = self.x.index_select(0, indices).to(self.shift.dtype)
        return x.sub_(self.shift).div_(self.scale), self.y.index_select(0, indices)

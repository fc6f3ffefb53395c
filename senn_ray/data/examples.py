"""Examples: raw arrays of a data set, their split, and batches on demand."""

from dataclasses import dataclass

import numpy as np
import torch

from senn_ray.data.codes import Column, Labels, Task


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How float32 holds features that it could not hold as they are."""

    origin: np.ndarray
    """float64, [1] or [d]: subtracted from the features when they are read."""
    unit: np.ndarray
    """float64, [1] or [d], powers of two: then divided by."""


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
    """[n, prod(feature_shape)], uint8 or float32, stored in ``encoding``."""
    train_y: np.ndarray
    """int64 [n] classes, or [n, num_outputs] targets: float32, or float64 where that
    would lose them."""
    test_x: np.ndarray
    test_y: np.ndarray
    default_val_per_class: int | None = None
    """Validation examples of every class, if nothing is said; without it they have the
    shares of the classes."""
    rows: np.ndarray | None = None
    """int64 [n]: the row of ``train_x`` of each training example, if it is not its own
    number: features in a file stay in the order of the file."""
    encoding: Encoding | None = None
    """Of ``train_x`` and ``test_x``; nothing if they are as the data set has them."""
    shift: np.ndarray | None = None
    """float32, [1] or [d]: standardisation of the stored official training features,
    measured when the data set is loaded; measured again by each user if left out."""
    scale: np.ndarray | None = None
    target_shift: np.ndarray | None = None
    """[num_outputs], of the type of ``train_y``: standardisation of the targets of a
    regression, measured when the data set is loaded; targets are learnt as they are if
    left out."""
    target_scale: np.ndarray | None = None
    labels: Labels | None = None
    """What the outputs stand for, if the data set tells."""
    columns: tuple[Column, ...] = ()
    """How a user's table becomes features, if it was one."""
    own_split: bool = False
    """Whether the test part was taken at random from one table."""
    notes: tuple[str, ...] = ()
    """What a reader of results should know of the data, one line each."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """One part of a data set: raw features, labels, and the standardisation."""

    x: torch.Tensor
    """[n, d], or more rows if ``rows`` says which; raw dtype."""
    y: torch.Tensor
    """Classes [n], or standardised targets [n, num_outputs]."""
    shift: torch.Tensor
    """[1] or [d]: subtracted from the features, which take its precision."""
    scale: torch.Tensor
    """[1] or [d]: then divided by."""
    rows: torch.Tensor | None = None
    """int64 [n]: the row of ``x`` of each example, if it is not its own number."""

    def __len__(self) -> int:
        """Count the examples."""
        return len(self.y)

    def batch(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return standardised features [b, d] and labels of some examples.

        Indices may lie on the host, where they are drawn: the same on every device.
        """
        indices = indices.to(self.y.device)
        rows = indices if self.rows is None else self.rows.index_select(0, indices)
        # index_select copies, so the arithmetic may be in place; indexing is slower.
        x = self.x.index_select(0, rows).to(self.shift.dtype)
        return x.sub_(self.shift).div_(self.scale), self.y.index_select(0, indices)

    def to(self, device: str, dtype: torch.dtype) -> "Examples":
        """Move to a device, with standardisation and targets of a floating type."""
        x, rows = self.x, self.rows
        if rows is not None and device != "cpu":
            # A file stays where it is; what is copied anyway is copied in order.
            x, rows = x.index_select(0, rows), None
        y = self.y.to(dtype) if self.y.is_floating_point() else self.y
        return Examples(
            x=x.to(device),
            y=y.to(device),
            shift=self.shift.to(device, dtype),
            scale=self.scale.to(device, dtype),
            rows=rows,
        )

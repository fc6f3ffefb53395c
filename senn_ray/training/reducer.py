"""The reducer: how the replicas of a gang add up what they have measured."""

from typing import Protocol

import torch


class Reducer(Protocol):
    """Sum tensors over the gang. Every replica calls it in the same order."""

    rank: int
    size: int

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return the sum of ``buffer`` over the gang, in rank order.

        The result is bitwise equal on all replicas. The buffer itself may be
        overwritten.
        """
        ...


class SingleReducer:
    """The reducer of a gang of one: the sum is the buffer."""

    rank = 0
    size = 1

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return the buffer."""
        return buffer


def sum_all(reducer: Reducer, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """Sum several tensors over the gang in one flat message.

    Args:
        reducer: The gang.
        tensors: Tensors of one dtype and device, of any shapes.

    Returns:
        The sums, in the same order and shapes.
    """
    if reducer.size == 1:
        return tensors
    flat = reducer.sum(torch.cat([t.reshape(-1) for t in tensors]))
    parts = flat.split([t.numel() for t in tensors])
    return [part.view_as(t) for part, t in zip(parts, tensors, strict=True)]

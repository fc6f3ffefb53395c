"""The reducer: how the replicas of a gang add up what they have measured."""

from typing import Protocol

import torch


class PeerLostError(RuntimeError):
    """Report that a message failed because another replica is gone or silent."""


class Reducer(Protocol):
    """Sum tensors over the gang. Every replica calls it in the same order.

    A message fails with a ``PeerLostError`` if a replica is lost. Those that are left
    then ``join`` again, under ranks and a size that may be others.
    """

    rank: int
    size: int

    def join(self) -> None:
        """Wait until the gang is complete: at first, and whenever a peer was lost."""
        ...

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return the sum of ``buffer`` over the gang, in rank order.

        The result is bitwise equal on all replicas. The buffer itself may be
        overwritten.
        """
        ...

    def broadcast(self, buffer: torch.Tensor, root: int) -> torch.Tensor:
        """Return the buffer of one replica on all of them.

        Args:
            buffer: A tensor of the same shape and dtype on every replica; it may be
                overwritten.
            root: The rank whose values count.
        """
        ...


class SingleReducer:
    """The reducer of a gang of one: the sum is the buffer."""

    rank = 0
    size = 1

    def join(self) -> None:
        """Do nothing: a single replica waits for no other."""

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return the buffer."""
        return buffer

    def broadcast(self, buffer: torch.Tensor, root: int) -> torch.Tensor:
        """Return the buffer."""
        del root
        return buffer


def sum_all(reducer: Reducer, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """Sum several tensors over the gang in one flat message.

    Returns:
        The sums, in the same order and shapes.
    """
    if reducer.size == 1:
        return tensors
    flat = reducer.sum(torch.cat([t.reshape(-1) for t in tensors]))
    parts = flat.split([t.numel() for t in tensors])
    return [part.view_as(t) for part, t in zip(parts, tensors, strict=True)]


def gather(reducer: Reducer, own: torch.Tensor) -> torch.Tensor:
    """Put the replicas' rows together, in rank order, the same bits on all of them.

    Args:
        reducer: The gang.
        own: This replica's rows [n, m]; others may have more or fewer.
    """
    counts = own.new_zeros(reducer.size)
    counts[reducer.rank] = len(own)
    rows = [int(count) for count in reducer.sum(counts).tolist()]
    start = sum(rows[: reducer.rank])
    # Each row is nonzero on one replica only: the sum is a concatenation, bit for bit.
    whole = own.new_zeros(sum(rows), *own.shape[1:])
    whole[start : start + len(own)] = own
    return reducer.sum(whole)

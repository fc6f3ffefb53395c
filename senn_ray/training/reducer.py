"""The reducer: how the replicas of a gang add up what they have measured."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import torch

T = TypeVar("T")


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
        """Do nothing: there is nobody to wait for."""

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return the buffer."""
        return buffer

    def broadcast(self, buffer: torch.Tensor, root: int) -> torch.Tensor:
        """Return the buffer."""
        del root
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


class ThreadedReducer:
    """A gang in one process: the replicas are threads that meet at a barrier."""

    def __init__(
        self, rank: int, slots: list[torch.Tensor], meet: threading.Barrier
    ) -> None:
        self.rank = rank
        self.size = len(slots)
        self._slots = slots
        self._meet = meet

    def join(self) -> None:
        """Do nothing: threads start together and are not lost."""

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return the sum over the threads, added in rank order."""
        return self._exchange(buffer, _sum_in_order)

    def broadcast(self, buffer: torch.Tensor, root: int) -> torch.Tensor:
        """Return the buffer of one thread."""
        return self._exchange(buffer, lambda slots: slots[root].clone())

    def _exchange(
        self,
        buffer: torch.Tensor,
        combine: Callable[[list[torch.Tensor]], torch.Tensor],
    ) -> torch.Tensor:
        self._slots[self.rank] = buffer
        self._meet.wait()
        result = combine(self._slots)
        # Nobody may put the next buffer while a thread still reads this one.
        self._meet.wait()
        return result


def _sum_in_order(slots: list[torch.Tensor]) -> torch.Tensor:
    total = slots[0].clone()
    for part in slots[1:]:
        total += part
    return total


def run_threaded(
    size: int, work: Callable[[Reducer], T], *, timeout_s: float = 60.0
) -> list[T]:
    """Run a function as a gang of threads and return its results in rank order.

    The first failure of a replica releases its peers and is raised here.

    Args:
        size: Replicas of the gang.
        work: What every replica does with its reducer.
        timeout_s: How long a replica waits for its peers in one sum.
    """
    meet = threading.Barrier(size, timeout=timeout_s)
    slots = [torch.empty(0)] * size

    def replica(rank: int) -> T:
        try:
            return work(ThreadedReducer(rank, slots, meet))
        except BaseException:
            meet.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(replica, rank) for rank in range(size)]
    failures = [e for f in futures if (e := f.exception()) is not None]
    if failures:
        # A broken barrier is only the echo of a peer's failure.
        failures.sort(key=lambda e: isinstance(e, threading.BrokenBarrierError))
        raise failures[0]
    return [future.result() for future in futures]

"""A gang in one process, for tests: its replicas are threads."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from senn_ray.training.reducer import Reducer

T = TypeVar("T")


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
        size: Number of replicas.
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

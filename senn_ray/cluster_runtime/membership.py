"""The worker's side of a membership: the reducer of a run whose peers may change.

A replica tells the driver when it is ready, and waits until it is offered a seat. When
a message fails it leaves the group and is ready again, for the next epoch.
"""

import queue
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

import torch

from senn_ray.cluster_runtime import group, nccl
from senn_ray.cluster_runtime.messages import Ready, Seat
from senn_ray.training.reducer import PeerLostError, SingleReducer

T = TypeVar("T")


class DismissedError(Exception):
    """Unwind a run that goes on, or ends, without this replica."""


class StaleSeatError(Exception):
    """Refuse a message of another run, or of an epoch that is over."""


class Messages(Protocol):
    """What a group of any kind can do."""

    @property
    def rank(self) -> int:
        """The place of this replica."""
        ...

    @property
    def size(self) -> int:
        """The number of replicas."""
        ...

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Sum a buffer over the gang."""
        ...

    def broadcast(self, buffer: torch.Tensor, root: int) -> torch.Tensor:
        """Spread a buffer over the gang."""
        ...


class Membership:
    """The reducer of one run in one process."""

    def __init__(
        self,
        run: str,
        tell: Callable[[Ready], None],
        *,
        host: str,
        silence_s: float,
        on_gpu: bool,
    ) -> None:
        """Begin outside of any gang.

        Args:
            run: The run, by the name that its seats have.
            tell: Reaches the driver.
            host: An address of this machine that the other replicas can reach.
            silence_s: Seconds until a silent peer counts as lost.
            on_gpu: Whether this replica has a GPU of its own.
        """
        self.rank, self.size = 0, 1
        self.epoch = 0
        self.run, self._tell = run, tell
        self._host, self._silence_s, self._on_gpu = host, silence_s, on_gpu
        self._seats: queue.SimpleQueue[Seat | None] = queue.SimpleQueue()
        self._group: Messages = SingleReducer()
        self._alarm = threading.Event()
        self._lost: str | None = None

    def offer(self, seat: Seat) -> None:
        """Hand over a seat; called from another thread than the one that trains.

        Args:
            seat: Of a later epoch than the one before.

        Raises:
            StaleSeatError: if the seat is of another run, or of an epoch that is over.
        """
        if seat.run != self.run or seat.epoch <= self.epoch:
            raise StaleSeatError(
                f"a seat of epoch {seat.epoch} of {seat.run} was offered in epoch "
                f"{self.epoch} of {self.run}"
            )
        self._seats.put(seat)

    def dismiss(self) -> None:
        """Tell that the run needs this replica no more."""
        self._seats.put(None)

    def alarm(self, run: str, epoch: int) -> None:
        """Learn from the driver that a replica was lost; an old alarm means nothing.

        Args:
            run: In which run.
            epoch: In which membership.
        """
        if run == self.run and epoch == self.epoch:
            self._alarm.set()

    def join(self) -> None:
        """Wait for a seat, and meet the others.

        Raises:
            DismissedError: if there is no seat for this replica any more.
        """
        self.leave()
        self._tell(Ready(epoch=self.epoch, lost=self._lost))
        seat = self._seats.get()
        if seat is None:
            raise DismissedError
        self.epoch, self.rank, self.size = seat.epoch, seat.rank, seat.size
        self._alarm.clear()
        if seat.size > 1:
            self._group = self._noting(lambda: self._meet(seat))

    def leave(self) -> None:
        """Leave the gang, so that the others notice if they are not done."""
        self._group = SingleReducer()  # Dropping a group leaves it.

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return the sum of a buffer over the gang."""
        return self._noting(lambda: self._group.sum(buffer))

    def broadcast(self, buffer: torch.Tensor, root: int) -> torch.Tensor:
        """Return the buffer of one replica."""
        return self._noting(lambda: self._group.broadcast(buffer, root))

    def _meet(self, seat: Seat) -> Messages:
        if self._on_gpu:
            return nccl.join(
                seat, self._alarm, host=self._host, silence_s=self._silence_s
            )
        return group.join(seat, host=self._host, timeout_s=self._silence_s)

    def _noting(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except PeerLostError as error:
            self._lost = " ".join(str(error).split())
            raise

"""The worker's side of a membership: the reducer of a run whose peers may change.

A replica tells the driver when it is ready, and waits until it is offered a seat. When
a message fails, ``training/recovery.py`` catches the ``PeerLostError`` and joins again:
the replica leaves the group, and is ready for the next epoch. ``gang_run.py`` is the
driver's side.
"""

import queue
from collections.abc import Callable
from typing import TypeVar

import torch

from senn_ray.cluster_runtime import group
from senn_ray.cluster_runtime.messages import Ready, Seat
from senn_ray.training.reducer import PeerLostError, SingleReducer

T = TypeVar("T")


class DismissedError(Exception):
    """Unwind a run that goes on, or ends, without this replica."""


class StaleSeatError(Exception):
    """Refuse a seat of another run, or of an epoch that is over."""


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
        self._group: group.Group = SingleReducer()
        self._alarmed = 0
        """The last epoch that the driver has told to be over."""
        self._lost: str | None = None

    def offer(self, seat: Seat) -> None:
        """Hand over a seat; called from another thread than the one that trains.

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
        """Learn from the driver that a membership has lost a replica.

        It may come before this replica has taken its seat in that membership, and from
        another thread: so it is kept by epoch, and never cleared.
        """
        if run == self.run:
            self._alarmed = max(self._alarmed, epoch)

    def is_lost(self) -> bool:
        """Tell whether the driver has lost a replica of the present membership."""
        return self._alarmed >= self.epoch

    def join(self) -> None:
        """Wait for a seat, and meet the others.

        Raises:
            DismissedError: if there is no seat for this replica any more.
        """
        # Before anything else: peers that wait for this one in a message of the old
        # epoch fail at once, instead of when their patience ends.
        self.leave()
        self._tell(Ready(epoch=self.epoch, lost=self._lost))
        seat = self._seats.get()
        if seat is None:
            raise DismissedError
        self.epoch, self.rank, self.size = seat.epoch, seat.rank, seat.size
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

    def _meet(self, seat: Seat) -> group.Group:
        """Form the process group of a membership with the other replicas."""
        if self._on_gpu:
            return group.join_nccl(
                seat, self.is_lost, host=self._host, silence_s=self._silence_s
            )
        return group.join(seat, host=self._host, timeout_s=self._silence_s)

    def _noting(self, act: Callable[[], T]) -> T:
        """Do what needs the peers; a loss is kept for the driver, then raised."""
        try:
            return act()
        except PeerLostError as error:
            self._lost = " ".join(str(error).split())
            raise

"""A gang of threads whose replicas die when they are told to."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from senn_ray.training.reducer import PeerLostError, Reducer
from tests.training.threads import ThreadedReducer

T = TypeVar("T")
TIMEOUT_S = 60.0


class _KilledError(BaseException):
    """Ends a replica in the middle of whatever it does, as SIGKILL would."""


@dataclass
class _Town:
    """Where replicas meet: a new group for every membership."""

    alive: int
    deaths: dict[tuple[int, int], None]
    """Which replica dies in which of its messages; each once."""
    replaces: bool = True
    waiting: list[int] = field(default_factory=list)
    groups: list["_Group"] = field(default_factory=list)
    change: threading.Condition = field(default_factory=threading.Condition)

    def join(self, name: int) -> "_Group":
        with self.change:
            epoch = len(self.groups)
            self.waiting.append(name)
            self._form()
            if not self.change.wait_for(lambda: len(self.groups) > epoch, TIMEOUT_S):
                raise TimeoutError("the gang did not become complete")
            return self.groups[epoch]

    def bury(self) -> None:
        with self.change:
            self.alive -= not self.replaces
            self._form()

    def _form(self) -> None:
        if len(self.waiting) == self.alive:
            self.groups.append(_Group(names=sorted(self.waiting)))
            self.waiting.clear()
            self.change.notify_all()


@dataclass
class _Group:
    names: list[int]

    def __post_init__(self) -> None:
        self.meet = threading.Barrier(len(self.names), timeout=TIMEOUT_S)
        self.slots = [torch.empty(0)] * len(self.names)


class MortalReducer:
    """A reducer of threads that dies, or loses peers that do."""

    rank, size = 0, 0

    def __init__(self, town: _Town, name: int, messages: list[int]) -> None:
        self._town, self._name, self._messages = town, name, messages

    def join(self) -> None:
        self._group = self._town.join(self._name)
        self.rank = self._group.names.index(self._name)
        self.size = len(self._group.names)
        self._inner = ThreadedReducer(self.rank, self._group.slots, self._group.meet)

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        return self._send(lambda: self._inner.sum(buffer))

    def broadcast(self, buffer: torch.Tensor, root: int) -> torch.Tensor:
        return self._send(lambda: self._inner.broadcast(buffer, root))

    def _send(self, send: Callable[[], torch.Tensor]) -> torch.Tensor:
        self._messages[self._name] += 1
        key = (self._name, self._messages[self._name])
        if key in self._town.deaths:
            del self._town.deaths[key]
            self._group.meet.abort()
            raise _KilledError
        try:
            return send()
        except threading.BrokenBarrierError as error:
            raise PeerLostError(f"rank {self.rank} lost a replica") from error


def run_mortal(
    size: int,
    work: Callable[[Reducer], T],
    *,
    deaths: list[tuple[int, int]],
    replaces: bool = True,
) -> tuple[list[T], list[int]]:
    """Run a gang of threads in which replicas die and fresh ones take their seats.

    Args:
        size: Replicas at the start.
        work: What every replica does, from its beginning.
        deaths: Name and message of each death.
        replaces: Whether the dead are replaced; else the gang shrinks.

    Returns:
        The results of those that lived, and how many messages each seat sent.
    """
    town = _Town(alive=size, deaths=dict.fromkeys(deaths), replaces=replaces)
    messages = [0] * size

    def live(name: int) -> list[T]:
        while True:
            try:
                return [work(MortalReducer(town, name, messages))]
            except _KilledError:
                town.bury()
                if not replaces:
                    return []

    with ThreadPoolExecutor(size) as pool:
        results = [pool.submit(live, name) for name in range(size)]
    assert not town.deaths, "a death was planned for a message that was never sent"
    return [value for result in results for value in result.result()], messages

"""Messages between the driver and the replicas of a gang, about memberships.

They are all that both sides import, so the driver needs no torch.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreAddress:
    """The address of the store where replicas meet to form a process group."""

    host: str
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """The driver's offer to a replica: a rank in the next membership of a run."""

    run: str
    """Unique among all runs that ever use the store, retries included."""
    epoch: int
    """The number of the membership, counted up; each has groups of its own."""
    rank: int
    size: int
    store: StoreAddress | None = None
    """Where the others are met; nothing for a gang of one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A replica's word to the driver: it has left its membership, and waits for a seat."""

    epoch: int
    """The membership that it was in before; 0 at first."""
    lost: str | None = None
    """Why it left, if a message failed."""

"""What the driver and the replicas of a gang say to each other. Needs no torch."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreAddress:
    """Where the replicas of a gang find each other."""

    host: str
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """The place of a replica in one membership of a gang."""

    run: str
    """Unique among all runs that ever use the store, retries included."""
    epoch: int
    """Memberships of the run are counted up; each has groups of its own."""
    rank: int
    size: int
    store: StoreAddress | None = None
    """Where the others are met; a gang of one meets nobody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A replica waits for a seat."""

    epoch: int
    """The membership that it was in before; 0 at first."""
    lost: str | None = None
    """Why it left."""

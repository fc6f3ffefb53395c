"""Who takes part in a run, and who sits where in its next membership."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from senn_ray.cluster_runtime.gang import Stream


@dataclass(kw_only=True)
class Member:
    """One process of the gang, in one run."""

    stream: Stream
    status: Literal["starting", "ready", "seated", "ended"]
    rank: int | None = None
    """Its place in the last membership that it was in."""


@dataclass(kw_only=True)
class Trouble:
    """A membership that is over, and what is known of the reason."""

    began_s: float
    since_s: float
    """Of the last loss."""
    reasons: list[str] = field(default_factory=list)
    has_death: bool = False
    """Whether a loss is known; else some replica is silent."""


def places(members: Sequence[Member], ready: Sequence[int], size: int) -> list[int]:
    """Choose a process for every rank: survivors first, in their old places.

    Args:
        members: By process.
        ready: The processes that may be seated; at least as many as seats.
        size: The number of seats.

    Returns:
        A process for each rank.
    """
    by_rank = {rank: slot for slot in ready if (rank := members[slot].rank) is not None}
    survivors = [by_rank[rank] for rank in sorted(by_rank)]
    fresh = [slot for slot in ready if members[slot].rank is None]
    chosen = [*survivors, *fresh][:size]
    keep = {rank: s for rank, s in by_rank.items() if s in chosen and rank < size}
    rest = [slot for slot in chosen if slot not in keep.values()]
    return [keep[rank] if rank in keep else rest.pop(0) for rank in range(size)]

"""Studies of any tuner, as plain records."""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One trial of a study of any tuner."""

    state: Literal["complete", "pruned", "failed"]
    values: tuple[float, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """A study of any tuner, its trials in the order of their numbers."""

    name: str
    directions: tuple[Direction, ...]
    trials: tuple[Trial, ...]
    open: int = 0
    """Trials that have not ended; they are not among the others."""

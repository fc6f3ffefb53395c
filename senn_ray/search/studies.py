"""Studies that somebody's tuner has left, as plain records."""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One trial of somebody's study."""

    state: Literal["complete", "pruned", "failed"]
    values: tuple[float, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """Somebody's study, its trials in the order of their numbers."""

    name: str
    directions: tuple[Direction, ...]
    trials: tuple[Trial, ...]
    open: int = 0
    """Trials that have not ended; they are not among the others."""

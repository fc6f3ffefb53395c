"""The trace of a run: what it has been through, and how good its best network is."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from senn_ray.core.records import Evaluation, Expansion


@dataclass(frozen=True)
class Quality:
    """How good a network is."""

    loss: float
    accuracy: float | None
    """Nothing for a regression."""


@dataclass
class Trace:
    """What a run has been through so far."""

    evaluations: list[Evaluation] = field(default_factory=list)
    expansions: list[Expansion] = field(default_factory=list)
    checks: int = 0
    shrinking: bool = False
    """Whether the last pruning removed anything; at the end, if it did, whether another
    one would."""
    confirmed: bool = False
    """Whether a last check, on the annealed network, accepted nothing."""
    current_score: float | None = None
    best: Quality | None = None
    """Of the best network so far, at the present size, on validation examples."""
    pruned: bool = False
    """Whether the run ended early, because others were better at the same step."""
    losses: list[float] = field(default_factory=list)
    """Of the batches since the last evaluation."""

    def state(self) -> dict[str, Any]:
        """Return the trace as plain values."""
        return dataclasses.asdict(self)


def from_state(state: dict[str, Any]) -> Trace:
    """Rebuild a trace from what ``Trace.state`` gave.

    Args:
        state: Plain values; they are copied.
    """
    best = state["best"]
    return Trace(**{
        **state,
        "evaluations": [Evaluation(**values) for values in state["evaluations"]],
        "expansions": [Expansion(**values) for values in state["expansions"]],
        "best": None if best is None else Quality(**best),
        "losses": list(state["losses"]),
    })

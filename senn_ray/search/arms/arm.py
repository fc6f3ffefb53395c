"""What an arm is: one way of choosing the size of a network, as the rest sees it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.search.plan import Choice, PerClass, Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """A run that an arm asks for; without a choice its study proposes one."""

    study: int = 0
    """Of an arm that searches several times: which search."""
    trial: int = 0
    per_class: PerClass | None = None
    """Training examples per class; None: the job's setting."""
    width: int | None = None
    """Set it where the width, and no trial of a search, tells the runs apart."""
    choice: Choice | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmState:
    """All that an arm may know when it is asked for runs."""

    plan: Plan
    finished: Mapping[tuple[int, int], RunRecord]
    """Its own finished runs, by study and trial."""
    target: TargetLocked | None = None
    """The locked targets, of an arm that stops at hits."""
    grown: tuple[RunRecord, ...] = ()
    """Finished self-expanding runs, of a paired arm; in a comparison all or none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposer:
    """The Optuna studies (TPE) that propose the runs of an arm."""

    objectives: Literal[1, 2] = 1
    """The loss; or the loss and the logarithm of the parameters."""
    prunes: bool = False
    """Whether hopeless runs end early."""
    tunes: bool = False
    """Whether depth, learning rate and weight decay are proposed too."""


NextRuns = Callable[[ArmState], list[RunRequest]]
AtMost = Callable[[Plan], Iterable[tuple[RunRequest, bool]]]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A way of choosing the size of a network that a job can compare.

    ``next_runs`` lists all runs that are justified so far, finished ones included, and
    is a pure function: the order in which runs finish, and how many go side by side,
    may change nothing in the end. ``conformance.check`` tries that.
    """

    name: str
    rule: str
    """What the protocol says of it."""
    next_runs: NextRuns
    at_most: AtMost | None = None
    """All runs it may do, for ``plan``, each with whether it is certain."""
    kind: Literal["growth", "opponent", "control", "confirmation"] = "opponent"
    """Controls search for nothing, so no exchange rate is computed for them."""
    search: Literal["run", "study"] = "run"
    """What is one complete search: each run, or all runs of one study."""
    proposer: Proposer | None = None
    """What fills in requests without a choice."""
    stops_at_hits: bool = False
    """Whether it is told the targets, and ends at ``baseline.until_hits`` hits."""
    paired: bool = False
    """Whether its runs have the seeds of the self-expanding runs, one by one."""
    grows: bool = False
    growth: Mapping[str, Any] = field(default_factory=dict)
    """Settings of ``growth`` in which its growing runs differ."""
    listed: bool = False
    """Whether its runs follow from the plan alone: then it is asked for them once."""
    opens_test: bool = False
    """Whether its runs are measured on test data: none is chosen by its outcome. So no
    winner of it is trained again."""
    width_only: bool = True
    """Whether its networks differ from those of other arms in their width alone."""
    settings: frozenset[str] | None = None
    """Keys of ``baseline`` that it reads; None: not known, so all of them may count."""

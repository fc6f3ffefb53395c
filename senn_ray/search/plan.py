"""The plan of a job, and what tells its runs apart."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from senn_ray.config import Config
from senn_ray.core.records import RunRecord, RunSpec

SENN = "senn"
CONFIRM = "confirm"
CONFIRM_FULL = "confirm_full"
"""Confirmations of ``tpe_full``, whose winners differ in more than a width."""
GRID = "grid"
GRADMAX = "gradmax"
NO_GROWTH = "no_growth_at_final"
WIDE_PRUNE = "wide_prune"
WIDE_MAGNITUDE = "wide_magnitude"
Verb = Literal["grow", "compare", "scan"]
PerClass = int | Literal["all"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """Which run of a job: its arm, and what tells it from the arm's other runs."""

    arm: str
    study: int = 0
    """Of arms that search several times: which search."""
    trial: int = 0
    per_class: PerClass = "all"
    """Training examples per class; the runs of a scan differ in it."""
    width: int | None = None
    """Of a run that is asked for by its width: that width."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What a search chooses of a fixed run; nothing stands for the job's setting."""

    hidden: tuple[int, ...]
    lr: float | None = None
    weight_decay: float | None = None
    """With ``lr``, of AdamW; both or none."""
    walks: bool = False
    """Whether the trained network is walked down the ladder of sizes (``front``)."""
    shrink_to: tuple[int, ...] = ()
    """Widths to which it is pruned by magnitude in mid-schedule, if any."""


def plain(width: int) -> Choice:
    """Return the choice of one hidden layer, and of nothing else."""
    return Choice(hidden=(width,))


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a job does: a verb, its settings, and where networks are kept."""

    verb: Verb
    config: Config
    checkpoints: Path | None = None

    @property
    def lowest(self) -> int:
        """The least width that fixed runs try: where growing runs start."""
        return min(self.config.model.hidden, default=1)

    @property
    def highest(self) -> int:
        """The greatest width that fixed runs try: the cap of growing runs."""
        return self.config.model.max_hidden

    @property
    def wide(self) -> int:
        """The width that arms start with which prune a wide network."""
        return max(self.lowest, min(self.config.baseline.wide, self.highest))


def senn_keys(plan: Plan) -> list[Key]:
    """List the self-expanding runs of a job, most urgent first.

    In a scan the trial counts the subset seeds. Runs on many examples come first, so
    that the last ones to end are short.
    """
    if plan.verb != "scan":
        size = plan.config.data.per_class
        seeds = range(plan.config.compare.seeds)
        return [Key(arm=SENN, trial=trial, per_class=size) for trial in seeds]
    return [
        Key(arm=SENN, trial=trial, per_class=size)
        for size in descending(plan.config.scan.per_class)
        for trial in range(plan.config.scan.subset_seeds)
    ]


def descending(sizes: Iterable[PerClass]) -> list[PerClass]:
    """Sort numbers of examples per class, most first."""
    return sorted(
        sizes, key=lambda size: math.inf if size == "all" else size, reverse=True
    )


def key_of(run: RunRecord | RunSpec) -> Key:
    """Tell which run of the job a record or a specification belongs to."""
    return Key(
        arm=run.arm,
        study=run.study,
        trial=run.trial,
        per_class=run.data.per_class if isinstance(run, RunSpec) else run.per_class,
        width=run.width,
    )

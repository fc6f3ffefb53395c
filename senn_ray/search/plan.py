"""The plan of a job: its settings, and the runs that follow from them.

Growing and fixed runs get the same data, optimiser, schedule and budget, by
construction: their specifications differ in the start widths, in whether growth is
switched on, and in the seed.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from senn_ray.config import Config, DataConfig
from senn_ray.records import Kind, RunRecord, RunSpec
from senn_ray.seeds import derive

SENN = "senn"
CONFIRM = "confirm"
GRID = "grid"
Verb = Literal["grow", "compare", "scan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """Which run of a job: its arm, and its place in the arm."""

    arm: str
    study: int
    trial: int

    @property
    def run_id(self) -> str:
        """The name of the run, unique in the job."""
        return f"{self.arm}-{self.study}-{self.trial:03d}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Want:
    """A run that an arm asks for; without a width its study proposes one."""

    study: int
    trial: int
    width: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a job does: a verb, its settings, and where networks are kept."""

    verb: Verb
    config: Config
    checkpoints: Path | None = None

    @property
    def lowest(self) -> int:
        """The least width that fixed runs try: where growing runs start."""
        return self.config.model.hidden[0]

    @property
    def highest(self) -> int:
        """The greatest width that fixed runs try: the cap of growing runs."""
        return self.config.model.max_hidden


def senn_keys(plan: Plan) -> list[Key]:
    """List the self-expanding runs of a job, most urgent first.

    The runs of a scan are its cells: the number of examples per class takes the place
    of the study (0 for all of them), and the trial counts the subset seeds. The largest
    cells come first, so that the last ones to end are short.

    Args:
        plan: The plan of the job.
    """
    if plan.verb != "scan":
        seeds = range(plan.config.compare.seeds)
        return [Key(arm=SENN, study=0, trial=trial) for trial in seeds]
    sizes = [0 if size == "all" else size for size in plan.config.scan.per_class]
    return [
        Key(arm=SENN, study=size, trial=trial)
        for size in sorted(sizes, key=lambda size: size or math.inf, reverse=True)
        for trial in range(plan.config.scan.subset_seeds)
    ]


def seed_of(plan: Plan, key: Key) -> int:
    """Return the seed of a run.

    The runs of ``grow`` count up from the root seed, so that any one of them can be
    repeated alone by its seed; those of other verbs follow from the root seed and
    their place, so that comparisons with other root seeds share no run.

    Args:
        plan: The plan of the job.
        key: Which run.
    """
    if plan.verb == "grow":
        return plan.config.seed + key.trial
    return derive(plan.config.seed, key.arm, key.study, key.trial)


def key_of(run: RunRecord | RunSpec) -> Key:
    """Tell which run of the job a record or a specification belongs to."""
    return Key(arm=run.arm, study=run.study, trial=run.trial)


def grow_spec(plan: Plan, key: Key) -> RunSpec:
    """Specify a self-expanding run.

    It is measured on the test split when it is over. That is the only honest moment:
    all self-expanding runs count (none is chosen), so a second training for the test
    would measure other networks at the same price; and no decision of the job reads a
    test value, which ``tests/search/test_coordinator.py`` proves.

    Args:
        plan: The plan of the job.
        key: Which run.
    """
    folder = plan.checkpoints
    path = None if folder is None else str(folder / key.run_id / "final.pt")
    return _spec(plan, key, kind="grow", evaluate_test=True, checkpoint=path)


def fixed_spec(plan: Plan, key: Key, width: int) -> RunSpec:
    """Specify a run of fixed width, from a fresh initialisation.

    Of a comparison, only confirmations are measured on the test split: the winners of
    an arm are chosen by their validation loss, so they are trained again with fresh
    seeds first. The grid of a scan is measured as a whole: it is the same whatever
    comes out, and its best width is chosen by validation loss.

    Args:
        plan: The plan of the job.
        key: Which run.
        width: Units of the hidden layer.
    """
    return _spec(
        plan, key, kind="fixed", width=width, evaluate_test=key.arm in {CONFIRM, GRID}
    )


def data_of(plan: Plan, key: Key) -> DataConfig:
    """Return the data settings of a run; the cells of a scan differ in their subset.

    Args:
        plan: The plan of the job.
        key: Which run.
    """
    data = plan.config.data
    if plan.verb != "scan":
        return data
    subset = {
        "per_class": key.study or "all",
        # Runs of the grid count on through the widths, seed by seed.
        "subset_seed": data.subset_seed + key.trial % plan.config.scan.subset_seeds,
    }
    return data.model_copy(update=subset)


def _spec(
    plan: Plan,
    key: Key,
    *,
    kind: Kind,
    evaluate_test: bool,
    width: int | None = None,
    checkpoint: str | None = None,
) -> RunSpec:
    config, model, growth = plan.config, plan.config.model, plan.config.growth
    if width is not None:
        model = model.model_copy(update={"hidden": (width,)})
        growth = growth.model_copy(update={"enabled": False})
    return RunSpec(
        run_id=key.run_id,
        arm=key.arm,
        kind=kind,
        seed=seed_of(plan, key),
        data=data_of(plan, key),
        model=model,
        train=config.train,
        growth=growth,
        study=key.study,
        trial=key.trial,
        workers=config.cluster.workers_per_run,
        evaluate_test=evaluate_test,
        checkpoint=checkpoint,
    )

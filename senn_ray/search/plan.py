"""The plan of a job: its settings, and the runs that follow from them.

Growing and fixed runs get the same data, optimiser, schedule and budget, by
construction: their specifications differ in the start widths, in whether growth is
switched on, and in the seed. Only ``tpe_full`` may choose its optimiser's settings.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from senn_ray.config import Config, DataConfig
from senn_ray.core.errors import ConfigError
from senn_ray.core.records import Kind, RunRecord, RunSpec
from senn_ray.core.seeds import derive

SENN = "senn"
CONFIRM = "confirm"
CONFIRM_FULL = "confirm_full"
"""Confirmations of ``tpe_full``, whose winners differ in more than a width."""
GRID = "grid"
GRADMAX = "gradmax"
NO_GROWTH = "no_growth_at_final"
GROWING = frozenset({SENN, GRADMAX})
PAIRED = frozenset({GRADMAX, NO_GROWTH})
"""Arms whose runs have the seeds of the self-expanding runs, one by one."""
CONTROLS = frozenset({GRID, NO_GROWTH})
"""Arms that search for nothing: an oracle, and one that is told the self-found size."""
TESTED = frozenset({SENN, GRADMAX, NO_GROWTH, CONFIRM, CONFIRM_FULL, GRID})
"""Arms that are measured on test data: none of their runs is chosen by its outcome."""
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


def plain(width: int) -> Choice:
    """Return the choice of one hidden layer, and of nothing else."""
    return Choice(hidden=(width,))


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """A run that an arm asks for; without a choice its study proposes one."""

    study: int = 0
    trial: int = 0
    per_class: PerClass | None = None
    """Training examples per class; nothing stands for the job's setting."""
    width: int | None = None
    """If it is the width, and no trial of a search, that tells the runs apart."""
    choice: Choice | None = None


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


def check_settings(verb: Verb, config: Config) -> None:
    """Check the settings that a verb cannot work with.

    Args:
        verb: What is to be done.
        config: The settings.

    Raises:
        ConfigError: if fixed widths are to be searched for other networks than those
            of one hidden layer, or a scan is to have one size.
    """
    if verb == "scan" and config.data.per_class != "all":
        size = config.data.per_class
        raise ConfigError(
            f"scan chooses data.per_class itself, but it is {size}; type "
            f"--scan.per-class {size},all, and leave data.per_class out"
        )
    searches = {
        "compare": "compare searches the width",
        "scan": "scan.oracle tries widths" if config.scan.oracle else "",
    }
    if verb == "scan" and NO_GROWTH in config.scan.arms and config.model.kind == "conv":
        raise ConfigError(
            f"scan.arms {NO_GROWTH} trains plain networks by their widths alone, which "
            "do not describe blocks; use model.kind mlp, or leave it out"
        )
    if searches.get(verb) and len(config.model.hidden) != 1:
        raise ConfigError(
            f"{searches[verb]} of one hidden layer, but model.hidden is "
            f"{list(config.model.hidden)}; type --model.hidden 2"
        )
    if searches.get(verb) and (config.model.kind != "mlp" or config.model.may_deepen):
        raise ConfigError(
            f"{searches[verb]} of one hidden layer, which stays one; use grow with "
            f"model.kind {config.model.kind} and model.max_depth "
            f"{config.model.depth_cap}, or leave both out"
        )


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


def seed_of(plan: Plan, key: Key) -> int:
    """Return the seed of a run.

    The runs of ``grow`` count up from the root seed, so that any one of them can be
    repeated alone by its seed; those of other verbs follow from the root seed and
    their place, so that comparisons with other root seeds share no run. Paired arms
    have the seeds of the self-expanding runs.
    """
    if plan.verb == "grow":
        return plan.config.seed + key.trial
    arm = SENN if key.arm in PAIRED else key.arm
    return derive(plan.config.seed, arm, _number(plan, key), key.trial)


def run_id_of(plan: Plan, key: Key) -> str:
    """Return the name of a run, unique in the job."""
    return f"{key.arm}-{_number(plan, key)}-{key.trial:03d}"


def _number(plan: Plan, key: Key) -> int:
    """Return what stands in seeds and names between the arm and the trial.

    Journals and seeds of earlier versions know runs by (arm, number, trial) alone. So
    the number is the examples per class in a scan (0: all of them), else the width of
    a run that is asked for by it, else the study.
    """
    if plan.verb == "scan":
        return 0 if key.per_class == "all" else key.per_class
    return key.study if key.width is None else key.width


def key_of(run: RunRecord | RunSpec) -> Key:
    """Tell which run of the job a record or a specification belongs to."""
    return Key(
        arm=run.arm,
        study=run.study,
        trial=run.trial,
        per_class=run.data.per_class if isinstance(run, RunSpec) else run.per_class,
        width=run.width,
    )


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
    path = None if folder is None else str(folder / run_id_of(plan, key) / "final.pt")
    spec = _spec(plan, key, kind="grow", checkpoint=path)
    if key.arm != GRADMAX:
        return spec
    growth = spec.growth.model_copy(update={"score": "gradient"})
    return replace(spec, growth=growth)


def fixed_spec(plan: Plan, key: Key, choice: Choice) -> RunSpec:
    """Specify a run of fixed size, from a fresh initialisation.

    Runs of a search are not measured on the test split: the winners of an arm are
    chosen by their validation loss, so they are trained again with fresh seeds first,
    and those confirmations are measured. The grid is measured as a whole: it is the
    same whatever comes out, and its best width is chosen by validation loss.

    Args:
        plan: The plan of the job.
        key: Which run.
        choice: Its widths, and for ``tpe_full`` the settings of AdamW.
    """
    spec = _spec(plan, key, kind="fixed", checkpoint=None)
    chosen: dict[str, object] = {}
    if choice.lr is not None:
        settings = {"lr": choice.lr, "weight_decay": choice.weight_decay}
        chosen = {"optimizer": "adamw", **settings}
    return replace(
        spec,
        model=spec.model.model_copy(update={"hidden": choice.hidden}),
        growth=spec.growth.model_copy(update={"enabled": False}),
        train=spec.train.model_copy(update=chosen),
    )


def data_of(plan: Plan, key: Key) -> DataConfig:
    """Return the data settings of a run; those of a scan differ in their subset."""
    data = plan.config.data
    if plan.verb != "scan":
        return data
    subset = {
        "per_class": key.per_class,
        # Trials of the grid count on through the widths, seed by seed.
        "subset_seed": data.subset_seed + key.trial % plan.config.scan.subset_seeds,
    }
    return data.model_copy(update=subset)


def _spec(
    plan: Plan,
    key: Key,
    *,
    kind: Kind,
    checkpoint: str | None,
) -> RunSpec:
    config = plan.config
    return RunSpec(
        run_id=run_id_of(plan, key),
        arm=key.arm,
        kind=kind,
        seed=seed_of(plan, key),
        data=data_of(plan, key),
        model=config.model,
        train=config.train,
        growth=config.growth,
        study=key.study,
        trial=key.trial,
        width=key.width,
        workers=config.cluster.workers_per_run,
        evaluate_test=key.arm in TESTED,
        checkpoint=checkpoint,
    )

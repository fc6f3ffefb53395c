"""What a job trains: the specification of every run, from its plan and its key.

Growing and fixed runs get the same data, optimiser, schedule and budget, by
construction: their specifications differ in the start widths, in whether growth is
switched on, in how they are pruned, and in the seed. Only arms that tune may choose the
settings of AdamW.
"""

from collections.abc import Iterable
from dataclasses import replace

from senn_ray.config import Config, DataConfig
from senn_ray.core.errors import ConfigError
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.core.seeds import derive
from senn_ray.search.arms import find, selectable
from senn_ray.search.arms.studies import cutoffs
from senn_ray.search.plan import NO_GROWTH, SENN, Choice, Key, Plan, Verb


def check_settings(verb: Verb, config: Config) -> None:
    """Check the settings that a verb cannot work with.

    Raises:
        ConfigError: if there is no such arm, if fixed widths are to be searched for
            other networks than those of one hidden layer, or a scan is to have one size.
    """
    _check_arms(config)
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


def _check_arms(config: Config) -> None:
    """Refuse names of no arm, also where the verb would not train them."""
    lists = {"baseline.arms": config.baseline.arms, "scan.arms": config.scan.arms}
    for key, names in lists.items():
        paired = key == "scan.arms"
        for name in names:
            arm = find(name, paired=paired)
            if arm.kind not in {"opponent", "control"} or (paired and not arm.paired):
                known = ", ".join(selectable(paired=paired))
                raise ConfigError(f"{key} cannot have {name}; give some of {known}")


def seed_of(plan: Plan, key: Key) -> int:
    """Return the seed of a run.

    The runs of ``grow`` count up from the root seed, so that any one of them can be
    repeated alone by its seed; those of other verbs follow from the root seed and
    their place, so that comparisons with other root seeds share no run. Paired arms
    have the seeds of the self-expanding runs.
    """
    if plan.verb == "grow":
        return plan.config.seed + key.trial
    arm = SENN if find(key.arm).paired else key.arm
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


def grow_spec(plan: Plan, key: Key) -> RunSpec:
    """Specify a growing run.

    It is measured on the test split when it is over. That is the only honest moment:
    all self-expanding runs count (none is chosen), so a second training for the test
    would measure other networks at the same price; and no decision of the job reads a
    test value, which ``tests/search/test_coordinator.py`` proves.
    """
    folder = plan.checkpoints
    path = None if folder is None else str(folder / run_id_of(plan, key) / "final.pt")
    spec = _spec(plan, key, checkpoint=path)
    growth = spec.growth.model_copy(update=dict(find(key.arm).growth))
    return replace(spec, kind="grow", growth=growth, front=plan.config.front)


def fixed_spec(plan: Plan, key: Key, choice: Choice) -> RunSpec:
    """Specify a run of fixed size, from a fresh initialisation.

    Runs of a search are not measured on the test split: the winners of an arm are
    chosen by their validation loss, so they are trained again with fresh seeds first,
    and those confirmations are measured. The grid is measured as a whole, and so are
    arms that prune: their runs are the same whatever comes out, and the best of them
    is chosen by validation loss.

    Args:
        plan: The plan of the job.
        key: Which run.
        choice: Its widths; of arms that tune, also the settings of AdamW; of arms that
            prune, also how.
    """
    spec = _spec(plan, key, checkpoint=None)
    chosen: dict[str, object] = {}
    if choice.lr is not None:
        settings = {"lr": choice.lr, "weight_decay": choice.weight_decay}
        chosen = {"optimizer": "adamw", **settings}
    return replace(
        spec,
        model=spec.model.model_copy(update={"hidden": choice.hidden}),
        growth=spec.growth.model_copy(update={"enabled": False}),
        train=spec.train.model_copy(update=chosen),
        front=plan.config.front if choice.walks else None,
        shrink_to=choice.shrink_to,
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


def _spec(plan: Plan, key: Key, *, checkpoint: str | None) -> RunSpec:
    config = plan.config
    return RunSpec(
        run_id=run_id_of(plan, key),
        arm=key.arm,
        kind="fixed",
        seed=seed_of(plan, key),
        data=data_of(plan, key),
        model=config.model,
        train=config.train,
        growth=config.growth,
        study=key.study,
        trial=key.trial,
        width=key.width,
        workers=config.cluster.workers_per_run,
        evaluate_test=find(key.arm).opens_test,
        checkpoint=checkpoint,
    )


def proposed_spec(
    plan: Plan, key: Key, choice: Choice, study: Iterable[RunRecord]
) -> RunSpec:
    """Specify a run that a study proposes, from the finished runs of that study."""
    spec = fixed_spec(plan, key, choice)
    proposer = find(key.arm).proposer
    if proposer is None or not proposer.prunes:
        return spec
    return replace(spec, cutoffs=cutoffs(study))

"""The arms that ask Optuna: which runs of their studies to do, and when to end one.

Each study has one trial in flight, so that its proposals depend on its own results
only; the cluster is filled by running the studies side by side. A study always runs to
its end, also after a hit: its best-so-far curve needs it.
"""

import statistics
from collections.abc import Iterable, Iterator

from senn_ray.core.records import RunRecord
from senn_ray.search.arms.arm import Arm, ArmState, Proposer, RunRequest
from senn_ray.search.plan import Plan

STARTUP_TRIALS = 4
"""Completed trials of a study before any is pruned."""
STUDIES = frozenset({"studies", "trials_per_study"})
TUNED = frozenset({"full_depth", "full_lr", "full_weight_decay"})
"""Settings of the arms that tune; ``optuna_studies.py`` reads them."""
WARMUP = 0.25
"""First fraction of the evaluations of a run, in which it is not pruned."""


def next_trials(state: ArmState) -> list[RunRequest]:
    """List the trials of every study so far, and the next one of each."""
    requests = list[RunRequest]()
    for study in range(state.plan.config.baseline.studies):
        for trial in range(state.plan.config.baseline.trials_per_study):
            requests.append(RunRequest(study=study, trial=trial))
            if (study, trial) not in state.finished:
                break
    return requests


def _every_trial(plan: Plan) -> Iterator[tuple[RunRequest, bool]]:
    for study in range(plan.config.baseline.studies):
        for trial in range(plan.config.baseline.trials_per_study):
            yield RunRequest(study=study, trial=trial), True


def cutoffs(study: Iterable[RunRecord]) -> tuple[float | None, ...]:
    """Return the loss, by evaluation, above which the next run of a study is pruned.

    Optuna's ``MedianPruner`` ends a trial whose best value so far is worse than the
    median that the completed trials of its study had at the same step. With one trial
    in flight per study all of those are finished when a run starts, so the medians are
    known and go with its specification. Nothing is asked of a run in flight, and a job
    that is killed and resumed prunes the same runs at the same steps.

    Returns:
        One entry per evaluation, none in the warm-up; empty with too few trials.
    """
    complete = [record for record in study if record.state == "complete"]
    if len(complete) < STARTUP_TRIALS:
        return ()
    losses = [[moment.val_loss for moment in run.evaluations] for run in complete]
    medians = [statistics.median(column) for column in zip(*losses, strict=False)]
    first = round(WARMUP * len(medians))
    return (*[None] * first, *medians[first:])


def _arm(name: str, rule: str, proposer: Proposer) -> Arm:
    return Arm(
        name=name,
        rule=rule,
        next_runs=next_trials,
        at_most=_every_trial,
        search="study",
        proposer=proposer,
        width_only=not proposer.tunes,
        settings=STUDIES | TUNED if proposer.tunes else STUDIES,
    )


TPE = _arm(
    "tpe",
    "independent Optuna studies over the width for the least score, one trial in "
    "flight each, run to their end",
    Proposer(),
)
TPE_PARETO = _arm(
    "tpe_pareto", "as tpe, over score and log parameters", Proposer(objectives=2)
)
TPE_PRUNER = _arm(
    "tpe_pruner",
    "as tpe; after 4 complete trials of a study a run ends at the first "
    "evaluation, past a quarter of them, whose best loss so far is above the median of "
    "the study's complete runs at that evaluation; its score is that best loss",
    Proposer(prunes=True),
)
TPE_FULL = _arm(
    "tpe_full",
    "as tpe, over width, depth, learning rate and weight decay, with AdamW",
    Proposer(tunes=True),
)

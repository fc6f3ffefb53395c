"""The arms that ask Optuna: which runs of their studies to do.

``tpe`` searches the width for the least validation loss; ``tpe_pareto`` for loss and
parameters together; ``tpe_pruner`` is ``tpe`` whose hopeless runs end early
(``cutoffs.py``); ``tpe_full`` searches width, depth, learning rate and weight decay:
what people really tune.

Each study has one trial in flight, so that its proposals depend on its own results
only; the cluster is filled by running the studies side by side. A study always runs to
its end, also after a hit: its best-so-far curve needs it.
"""

from collections.abc import Mapping

from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.search.plan import Plan, RunRequest

ASKING = frozenset({"tpe", "tpe_pareto", "tpe_pruner", "tpe_full"})


def wanted(
    plan: Plan,
    finished: Mapping[tuple[int, int], RunRecord],
    target: TargetLocked | None,
) -> list[RunRequest]:
    """List the trials of every study so far, and the next one of each.

    Args:
        plan: The plan of the job.
        finished: Records of this arm, by study and trial.
        target: The locked targets; not used, as the sampler may not see them.
    """
    del target
    wants = list[RunRequest]()
    for study in range(plan.config.baseline.studies):
        for trial in range(plan.config.baseline.trials_per_study):
            wants.append(RunRequest(study=study, trial=trial))
            if (study, trial) not in finished:
                break
    return wants

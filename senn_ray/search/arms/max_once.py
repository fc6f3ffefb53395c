"""Train the largest network, once: the opponent who does not search at all."""

from collections.abc import Mapping

from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.search.plan import Plan, RunRequest, plain


def wanted(
    plan: Plan,
    finished: Mapping[tuple[int, int], RunRecord],
    target: TargetLocked | None,
) -> list[RunRequest]:
    """List the repeats; each is one complete search.

    Args:
        plan: The plan of the job.
        finished: Records of this arm; none is needed.
        target: The locked targets; not used.
    """
    del finished, target
    choice = plain(plan.highest)
    repeats = range(plan.config.baseline.repeats)
    return [RunRequest(study=0, trial=trial, choice=choice) for trial in repeats]

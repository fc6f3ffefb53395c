"""Train the largest network, once: the opponent who does not search at all."""

from collections.abc import Mapping

from senn_ray.events import TargetLocked
from senn_ray.records import RunRecord
from senn_ray.search.plan import Plan, Want


def wanted(
    plan: Plan,
    finished: Mapping[tuple[int, int], RunRecord],
    target: TargetLocked | None,
) -> list[Want]:
    """List the repeats; each is one complete search.

    Args:
        plan: The plan of the job.
        finished: Records of this arm; none is needed.
        target: The locked targets; not used.
    """
    del finished, target
    repeats = range(plan.config.baseline.repeats)
    return [Want(study=0, trial=trial, width=plan.highest) for trial in repeats]

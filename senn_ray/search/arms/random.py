"""Random search: independent widths, log-uniform between start width and cap."""

import math
import random
from collections.abc import Mapping

from senn_ray.events import TargetLocked
from senn_ray.records import RunRecord
from senn_ray.search.plan import Plan, Want
from senn_ray.search.targets import is_hit
from senn_ray.seeds import derive


def wanted(
    plan: Plan,
    finished: Mapping[tuple[int, int], RunRecord],
    target: TargetLocked | None,
) -> list[Want]:
    """List the trials that are needed whatever the open ones will show.

    The arm ends at the first trial with which ``baseline.until_hits`` hits of quality
    at size are reached, in trial order, or at ``baseline.max_trials``. A trial is only
    started when it surely comes before that end, so the set of trials depends neither
    on the order in which they finish nor on how many run side by side.

    Args:
        plan: The plan of the job.
        finished: Records of this arm, by study and trial.
        target: The locked targets; before that, every trial may be a hit.
    """
    wants, possible_hits = list[Want](), 0
    for trial in range(plan.config.baseline.max_trials):
        if possible_hits >= plan.config.baseline.until_hits:
            break
        wants.append(Want(study=0, trial=trial, width=draw_width(plan, trial)))
        record = finished.get((0, trial))
        if (
            record is None
            or target is None
            or is_hit(record, target, "quality_at_size")
        ):
            possible_hits += 1
    return wants


def draw_width(plan: Plan, trial: int) -> int:
    """Draw the width of a trial; a function of the root seed and the number alone.

    Args:
        plan: The plan of the job.
        trial: The number of the trial.
    """
    stream = random.Random(derive(plan.config.seed, "random", "width", trial))
    low, high = math.log(plan.lowest), math.log(plan.highest + 1)
    width = math.floor(math.exp(stream.uniform(low, high)))
    return min(max(width, plan.lowest), plan.highest)

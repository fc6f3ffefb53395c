"""Random search: independent widths, log-uniform between start width and cap."""

import math
import random
from collections.abc import Callable, Mapping

from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.core.seeds import derive
from senn_ray.search.plan import Plan, RunRequest, plain
from senn_ray.search.targets import is_hit


def wanted(
    plan: Plan,
    finished: Mapping[tuple[int, int], RunRecord],
    target: TargetLocked | None,
) -> list[RunRequest]:
    """List the trials that are needed whatever the open ones will show.

    Args:
        plan: The plan of the job.
        finished: Records of this arm, by study and trial.
        target: The locked targets; before that, every trial may be a hit.
    """
    return until_hits(plan, finished, target, draw_width)


def until_hits(
    plan: Plan,
    finished: Mapping[tuple[int, int], RunRecord],
    target: TargetLocked | None,
    draw: Callable[[Plan, int], int],
) -> list[RunRequest]:
    """List the trials of an arm that stops at a number of hits.

    The arm ends at the first trial with which ``baseline.until_hits`` hits of quality
    at size are reached, in trial order, or at ``baseline.max_trials``. A trial is only
    started when it surely comes before that end, so the set of trials depends neither
    on the order in which they finish nor on how many run side by side.

    Args:
        plan: The plan of the job.
        finished: Records of this arm, by study and trial.
        target: The locked targets; before that, every trial may be a hit.
        draw: Gives the width of a trial from its number.
    """
    wants, possible_hits = list[RunRequest](), 0
    for trial in range(plan.config.baseline.max_trials):
        if possible_hits >= plan.config.baseline.until_hits:
            break
        choice = plain(draw(plan, trial))
        wants.append(RunRequest(study=0, trial=trial, choice=choice))
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
    return width_at(plan, stream.random())


def width_at(plan: Plan, place: float) -> int:
    """Return the width at a place between start width (0) and cap (1), log-uniform.

    Args:
        plan: The plan of the job.
        place: From 0 to below 1.
    """
    low, high = math.log(plan.lowest), math.log(plan.highest + 1)
    width = math.floor(math.exp(low + place * (high - low)))
    return min(max(width, plan.lowest), plan.highest)

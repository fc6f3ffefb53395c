"""Quasi-random search: widths that fill the range evenly, however many there are.

The points are a van der Corput sequence in base 2 (the one-dimensional Sobol sequence),
moved by one random shift that follows from the root seed. Each point is a function of
its number alone, so the trials may run side by side and a resumed job goes on.
"""

from collections.abc import Mapping

from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.core.seeds import derive
from senn_ray.search.arms import random
from senn_ray.search.plan import Plan, RunRequest

SEED_BITS = 63


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
    return random.until_hits(plan, finished, target, draw_width)


def draw_width(plan: Plan, trial: int) -> int:
    """Return the width of a trial: log-uniform between start width and cap.

    Args:
        plan: The plan of the job.
        trial: The number of the trial.
    """
    shift = derive(plan.config.seed, "qmc", "shift") / 2**SEED_BITS
    return random.width_at(plan, (shift + _mirrored(trial)) % 1.0)


def _mirrored(number: int) -> float:
    """Mirror the binary digits of a number at the point: 1, 2, 3 to .1, .01, .11."""
    value, place = 0.0, 0.5
    while number:
        value += place * (number & 1)
        number, place = number >> 1, place / 2
    return value

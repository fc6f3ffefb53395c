"""The careful engineer: double the width while it helps, then bisect downwards."""

import math
from collections.abc import Mapping

from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.search.arms.ladder import repeated
from senn_ray.search.plan import Plan, RunRequest


def wanted(
    plan: Plan,
    finished: Mapping[tuple[int, int], RunRecord],
    target: TargetLocked | None,
) -> list[RunRequest]:
    """List the runs of every repeat so far, and the next one of each.

    Args:
        plan: The plan of the job.
        finished: Records of this arm, by repeat and trial.
        target: The locked targets; not used, as an engineer would not know them.
    """
    del target
    return repeated(plan, finished, next_width)


def next_width(plan: Plan, losses: Mapping[int, float]) -> int | None:
    """Choose the width to try next.

    Doubling ends when the loss falls by no more than ``compare.epsilon`` of the best
    so far (or at the cap). Bisection then looks for the smallest width whose loss is
    within that margin of the best, and ends when the answer is known to a factor of
    ``compare.size_factor``: a finer answer could not matter to a comparison that
    allows this factor.

    Args:
        plan: The plan of the job.
        losses: Validation loss by width, in the order tried; infinite if it diverged.

    Returns:
        A width, or nothing when the search is over.
    """
    if (rung := _next_rung(plan, losses)) is not None:
        return rung
    return _middle(plan, losses)


def _next_rung(plan: Plan, losses: Mapping[int, float]) -> int | None:
    best, rung = math.inf, plan.lowest
    while rung in losses:
        if rung > plan.lowest and not _improves(plan, losses[rung], best):
            return None
        if rung == plan.highest:
            return None
        best = min(best, losses[rung])
        rung = min(2 * rung, plan.highest)
    return rung


def _improves(plan: Plan, loss: float, best: float) -> bool:
    return loss < best * (1 - plan.config.compare.epsilon)


def _middle(plan: Plan, losses: Mapping[int, float]) -> int | None:
    bound = min(losses.values()) * (1 + plan.config.compare.epsilon)
    good = min(width for width, loss in losses.items() if loss <= bound)
    low = max((width for width in losses if width < good), default=good)
    middle = (low + good) // 2
    unknown = good > plan.config.compare.size_factor * low and middle > low
    return middle if unknown else None

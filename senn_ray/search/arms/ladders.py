"""Ladders: engineers without a tuner double the width until that no longer helps.

The plain one gives up after two doublings in vain; the careful one stops at the first
and bisects downwards.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from senn_ray.search.arms.arm import Arm, ArmState, RunRequest
from senn_ray.search.arms.fixed import widths
from senn_ray.search.plan import Plan, plain
from senn_ray.search.targets import score

PATIENCE = 2
"""Doublings in a row that must fail before the plain ladder ends."""
Losses = Mapping[int, float]
"""Validation loss by width, in the order tried; infinite if it diverged."""
NextWidth = Callable[[Plan, Losses], int | None]


def repeated(state: ArmState, *, choose: NextWidth) -> list[RunRequest]:
    """List the runs of every repeat so far, and the next one of each."""
    requests = list[RunRequest]()
    for repeat in range(state.plan.config.baseline.repeats):
        losses, trial = dict[int, float](), 0
        while (width := choose(state.plan, losses)) is not None:
            request = RunRequest(study=repeat, trial=trial, choice=plain(width))
            requests.append(request)
            record = state.finished.get((repeat, trial))
            if record is None:
                break
            # What was really tried: a failed run that was repeated may have changed
            # what would be tried now.
            losses[record.hidden[0]] = score(record)
            trial += 1
    return requests


def doubled(plan: Plan, losses: Losses) -> int | None:
    """Choose the next rung of the plain ladder; nothing when it has ended.

    Two doublings in a row that lower the best loss by no more than ``compare.epsilon``
    of it end the ladder, and so does the cap.
    """
    rung, best, misses = plan.lowest, math.inf, 0
    while rung in losses:
        better = losses[rung] < best * (1 - plan.config.compare.epsilon)
        misses = 0 if better or rung == plan.lowest else misses + 1
        if misses == PATIENCE or rung == plan.highest:
            return None
        best = min(best, losses[rung])
        rung = min(2 * rung, plan.highest)
    return rung


def bisected(plan: Plan, losses: Losses) -> int | None:
    """Choose the next width of the careful ladder; nothing when it has ended.

    Doubling ends when the loss falls by no more than ``compare.epsilon`` of the best
    so far (or at the cap). Bisection then looks for the smallest width whose loss is
    within that margin of the best, and ends when the answer is known to a factor of
    ``compare.size_factor``: a finer answer could not matter to a comparison that
    allows this factor.
    """
    epsilon = plan.config.compare.epsilon
    best, rung = math.inf, plan.lowest
    while rung in losses:
        improves = losses[rung] < best * (1 - epsilon)
        if (rung > plan.lowest and not improves) or rung == plan.highest:
            return _middle(plan, losses)
        best = min(best, losses[rung])
        rung = min(2 * rung, plan.highest)
    return rung


def _middle(plan: Plan, losses: Losses) -> int | None:
    bound = min(losses.values()) * (1 + plan.config.compare.epsilon)
    good = min(width for width, loss in losses.items() if loss <= bound)
    low = max((width for width in losses if width < good), default=good)
    middle = (low + good) // 2
    unknown = good > plan.config.compare.size_factor * low and middle > low
    return middle if unknown else None


def _most(plan: Plan, *, bisects: bool) -> Iterator[tuple[RunRequest, bool]]:
    """List the longest ladder of every repeat; its first rungs are always tried."""
    rungs = widths(plan)
    rungs += [plan.highest] if rungs[-1] < plan.highest else []
    known, certain, unknown = rungs, PATIENCE + 1, 0
    if bisects:
        known, certain = rungs[:2], 2
        unknown = len(rungs[2:]) + _bisections(plan, rungs)
    for repeat in range(plan.config.baseline.repeats):
        for trial, width in enumerate([*known, *[None] * unknown]):
            choice = None if width is None else plain(width)
            request = RunRequest(study=repeat, trial=trial, choice=choice)
            yield request, trial < certain


def _bisections(plan: Plan, rungs: list[int]) -> int:
    """Count the most steps of the bisection that follows a ladder."""

    def longest(low: int, good: int) -> int:
        middle = (low + good) // 2
        if good <= plan.config.compare.size_factor * low or middle <= low:
            return 0
        return 1 + max(longest(low, middle), longest(middle, good))

    return max(map(longest, rungs, rungs[1:]), default=0)


LADDER = Arm(
    name="ladder",
    rule="double the width until two doublings in a row improve the score by no "
    "more than compare.epsilon",
    next_runs=partial(repeated, choose=doubled),
    at_most=partial(_most, bisects=False),
    search="study",
    settings=frozenset({"repeats"}),
)
LADDER_BISECT = Arm(
    name="ladder_bisect",
    rule="double the width until the score improves by no more than "
    "compare.epsilon, then bisect for the smallest width within that of the best",
    next_runs=partial(repeated, choose=bisected),
    at_most=partial(_most, bisects=True),
    search="study",
    settings=frozenset({"repeats"}),
)

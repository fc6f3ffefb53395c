"""The engineer without a tuner: double the width until that no longer helps."""

import math
from collections.abc import Callable, Mapping

from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.search.plan import Plan, RunRequest, plain
from senn_ray.search.targets import score

PATIENCE = 2
"""Doublings in a row that must fail before the ladder ends."""
Losses = Mapping[int, float]
Finished = Mapping[tuple[int, int], RunRecord]


def wanted(
    plan: Plan, finished: Finished, target: TargetLocked | None
) -> list[RunRequest]:
    """List the runs of every repeat so far, and the next one of each.

    Args:
        plan: The plan of the job.
        finished: Records of this arm, by repeat and trial.
        target: The locked targets; not used, as an engineer would not know them.
    """
    del target
    return repeated(plan, finished, next_width)


def repeated(
    plan: Plan, finished: Finished, choose: Callable[[Plan, Losses], int | None]
) -> list[RunRequest]:
    """List the runs of repeats that choose one width after the other.

    Args:
        plan: The plan of the job.
        finished: Records of the arm, by repeat and trial.
        choose: Gives the next width from the losses by width, in the order tried.
    """
    wants = list[RunRequest]()
    for repeat in range(plan.config.baseline.repeats):
        losses, trial = dict[int, float](), 0
        while (width := choose(plan, losses)) is not None:
            wants.append(RunRequest(study=repeat, trial=trial, choice=plain(width)))
            record = finished.get((repeat, trial))
            if record is None:
                break
            # What was really tried: a failed run that was repeated may have changed
            # what would be tried now.
            losses[record.hidden[0]] = score(record)
            trial += 1
    return wants


def next_width(plan: Plan, losses: Losses) -> int | None:
    """Choose the next rung; nothing when the ladder has ended.

    Two doublings in a row that lower the best loss by no more than ``compare.epsilon``
    of it end the ladder, and so does the cap.

    Args:
        plan: The plan of the job.
        losses: Validation loss by width; infinite if it diverged.
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

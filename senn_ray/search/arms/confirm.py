"""Confirmation: winners are trained again with fresh seeds, and measured on test data.

A winner was chosen because its validation loss was low, so that very number flatters
it. For each arm two widths are confirmed: the one of the least validation loss, and
the one of the least validation loss among runs that are small enough for quality at
size (the top-1 rule, under each target's constraint). A width that wins twice is
trained once. A plain network of the median self-found width is added as a control: it
tells "growing found the size" from "growing trains better". All of this comes after
the last decision of every arm, so no arm sees the self-found size.
"""

import statistics
from collections.abc import Iterable, Mapping

from senn_ray.events import TargetLocked
from senn_ray.records import RunRecord
from senn_ray.search.plan import CONFIRM, SENN, Key, Plan, Want
from senn_ray.search.targets import TargetName, score


def wanted(
    plan: Plan, finished: Mapping[Key, RunRecord], target: TargetLocked
) -> list[Want]:
    """List the confirmations; the width takes the place of the study.

    Args:
        plan: The plan of the job.
        finished: All records of the job; those of confirmations do not count.
        target: The locked targets.
    """
    records = [r for key, r in finished.items() if key.arm != CONFIRM]
    widths = {r.hidden[0] for r in winners(records, target).values()}
    widths.add(median_width(records))
    seeds = range(plan.config.compare.retrain_seeds)
    return [
        Want(study=width, trial=trial, width=width)
        for width in sorted(widths)
        for trial in seeds
    ]


def winners(
    records: Iterable[RunRecord], target: TargetLocked
) -> dict[tuple[str, TargetName], RunRecord]:
    """Choose the best run of each fixed arm, for each target.

    Args:
        records: Runs of all arms.
        target: The locked targets; runs too large do not compete for quality at size.

    Returns:
        Runs by arm and target. An arm none of whose runs qualifies is left out.
    """
    best: dict[tuple[str, TargetName], RunRecord] = {}
    fixed = [r for r in records if r.kind == "fixed" and r.state == "complete"]
    for record in sorted(fixed, key=lambda r: (score(r), r.params, r.run_id)):
        best.setdefault((record.arm, "quality"), record)
        if record.params <= target.max_params:
            best.setdefault((record.arm, "quality_at_size"), record)
    return best


def median_width(records: Iterable[RunRecord]) -> int:
    """Return the (low) median width of the self-expanding runs that completed.

    Args:
        records: Runs of all arms, with at least one of these.
    """
    good = [r for r in records if r.arm == SENN and r.state == "complete"]
    return statistics.median_low(record.hidden[0] for record in good)

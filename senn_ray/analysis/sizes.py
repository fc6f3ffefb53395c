"""Sizes: what self-expanding runs found, and what plain networks of each size reach."""

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, TypeVar

from senn_ray.analysis.job import Job
from senn_ray.analysis.results import OracleWidth, SizeBlock, SizeFound, SizeRow
from senn_ray.analysis.statistics import mean_interval, mean_upper
from senn_ray.core.records import RunRecord
from senn_ray.search.arms.confirm import (
    FULL,
    median_width,
    place_of,
    trained_again,
    winners,
)
from senn_ray.search.plan import CONFIRM, CONFIRM_FULL, GRID, NO_GROWTH
from senn_ray.search.targets import TargetName, score

Tested = TypeVar("Tested", SizeRow, OracleWidth)
# With two seeds the bound is so wide that "not shown" would look like "worse".
LEAST_SEEDS = 3
# Their networks differ from those of the job in more than a width, or their widths
# follow from the losses of self-expanding runs.
NOT_SIZES = frozenset({FULL, CONFIRM_FULL, NO_GROWTH})
# Whose runs come whatever losses these runs have: others would be the lucky ones.
UNCHOSEN = frozenset({GRID, CONFIRM})


def size_rows(job: Job) -> tuple[SizeRow, ...]:
    """Collect the fixed runs of each width, with a test of non-inferiority.

    A width is non-inferior if the one-sided 95 % upper bound of its mean validation
    loss exceeds the target by at most ``compare.epsilon``; that takes three seeds. If
    there is a grid only its runs count. Without one, a width that was trained again
    counts by those runs alone; of the others, which widths an arm repeats depends on
    their losses, so they are shown and not tested.

    Args:
        job: The job.
    """
    by_width: dict[int, list[RunRecord]] = defaultdict(list)
    for record in job.of(GRID) or job.records:
        sized = record.kind == "fixed" and record.arm not in NOT_SIZES
        if sized and record.params and record.state != "pruned":
            by_width[record.hidden[0]].append(record)
    rows = (_row(job, width, _fair(by_width[width])) for width in sorted(by_width))
    return tuple(rows)


def _fair(records: Sequence[RunRecord]) -> Sequence[RunRecord]:
    """Keep the runs that no outcome of theirs has chosen, if there are enough."""
    fair = [record for record in records if record.arm in UNCHOSEN]
    return fair if len(fair) >= LEAST_SEEDS else records


def size_block(job: Job, sizes: Sequence[SizeRow]) -> SizeBlock:
    """Compare the self-found size with the best and the smallest sufficient one.

    Args:
        job: The job.
        sizes: What ``size_rows`` gave.
    """
    best = [found for c in confirmed(job).values() if (found := c.get("quality"))]
    complete = [record for record in job.senn if record.state == "complete"]
    plain = _again(job, (CONFIRM, median_width(complete))) if complete else None
    return SizeBlock(
        senn=_senn(complete),
        best_fixed=min(best, key=lambda b: b.val_loss or math.inf, default=None),
        plain_at_senn_size=plain,
        smallest_sufficient=_sufficient_block(sizes),
    )


def confirmed(job: Job) -> dict[str, dict[TargetName, SizeFound | None]]:
    """Return what the winners of each arm reach when trained again.

    Args:
        job: The job.

    Returns:
        By arm and target; an arm without a winner, or whose winner was not trained
        again yet, has nothing there.
    """
    if job.target is None:
        return {}
    result: dict[str, dict[TargetName, SizeFound | None]]
    result = {arm: {} for arm in job.arms}
    for (arm, name), record in winners(job.records, job.target).items():
        result[arm][name] = _again(job, place_of(record))
    return result


def _row(job: Job, width: int, records: Sequence[RunRecord]) -> SizeRow:
    losses = [score(record) for record in records]
    all_well = all(map(math.isfinite, losses))
    low, high = mean_interval(losses) if all_well and len(losses) > 1 else (None, None)
    passes = None
    unchosen = all(record.arm in UNCHOSEN for record in records)
    if unchosen and len(losses) >= LEAST_SEEDS and job.target is not None:
        margin = 1 + job.config.compare.epsilon
        passes = all_well and mean_upper(losses) <= job.target.val_loss * margin
    return SizeRow(
        hidden=width,
        params=records[0].params,
        seeds=len(records),
        val_mean=statistics.fmean(losses),
        val_low=low,
        val_high=high,
        noninferior=passes,
    )


def smallest_sufficient(rows: Sequence[Tested]) -> Tested | None:
    """Return the row of the least width that is non-inferior, if there is one.

    One lucky width is not enough: the next larger one that was tested must pass too.

    Args:
        rows: By width, each with ``noninferior``: yes, no, or nothing if not tested.
    """
    tested = [row for row in rows if row.noninferior is not None]
    for row, larger in zip_longest(tested, tested[1:]):
        if row.noninferior and (larger is None or larger.noninferior):
            return row
    return None


def _sufficient_block(rows: Sequence[SizeRow]) -> SizeFound | None:
    row = smallest_sufficient(rows)
    return row and SizeFound(
        estimate=row.hidden,
        low=None,
        high=None,
        hidden=(row.hidden,),
        params=row.params,
        seeds=row.seeds,
        val_loss=row.val_mean,
        test_loss=None,
        test_accuracy=None,
    )


def _senn(complete: Sequence[RunRecord]) -> SizeFound | None:
    if not complete:
        return None
    widths = [record.hidden[0] for record in complete]
    median = statistics.median_low(widths)
    return SizeFound(
        estimate=median,
        low=min(widths),
        high=max(widths),
        hidden=(median,),
        params=statistics.median_low(record.params for record in complete),
        seeds=len(complete),
        val_loss=statistics.median(map(score, complete)),
        test_loss=_typical(complete, "test_loss", statistics.median),
        test_accuracy=_typical(complete, "test_accuracy", statistics.median),
    )


def _again(job: Job, place: tuple[str, int]) -> SizeFound | None:
    records = trained_again(job.records, place)
    if not records:
        return None
    return SizeFound(
        estimate=sum(records[0].hidden),
        low=None,
        high=None,
        hidden=records[0].hidden,
        params=records[0].params,
        seeds=len(records),
        val_loss=statistics.fmean(map(score, records)),
        test_loss=_typical(records, "test_loss", statistics.fmean),
        test_accuracy=_typical(records, "test_accuracy", statistics.fmean),
    )


def _typical(records: Sequence[RunRecord], name: str, typical: Any) -> float | None:
    values = [getattr(r, name) for r in records if getattr(r, name) is not None]
    return float(typical(values)) if values else None

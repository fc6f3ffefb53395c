"""Sizes: what self-expanding runs found, and what plain networks reach.

``sizes`` has the fixed runs of each width of a comparison, ``oracle`` those of a scan,
``retrained`` the winners of all arms on test data, ``paired`` runs that share a seed with
a self-expanding run.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, TypeVar

from senn_ray.analysis.job import Job
from senn_ray.analysis.results import (
    CellPairs,
    Interval,
    OracleRow,
    OracleWidth,
    Pairs,
    Retrained,
    Size,
    SizeBlock,
    SizeFound,
    SizeRow,
)
from senn_ray.analysis.statistics import clopper_pearson, mean_interval, mean_upper
from senn_ray.core.records import RunRecord
from senn_ray.search.arms import find
from senn_ray.search.confirm import (
    median_width,
    place_of,
    trained_again,
    winners,
)
from senn_ray.search.plan import CONFIRM, GRID, SENN
from senn_ray.search.targets import TargetName, score

Tested = TypeVar("Tested", SizeRow, OracleWidth)
VALUES = {"val_loss": math.inf, "test_loss": math.inf, "test_accuracy": 1.0}
"""What winners are told by, and the most that it can be."""
PLAIN = "plain_at_senn_size"
Matched = Sequence[tuple[RunRecord, RunRecord]]
# With two seeds the bound is so wide that "not shown" would look like "worse".
LEAST_SEEDS = 3


def size_rows(job: Job) -> tuple[SizeRow, ...]:
    """Collect the fixed runs of each width, with a test of non-inferiority.

    A width is non-inferior if the one-sided 95 % upper bound of its mean validation
    loss exceeds the target by at most ``compare.epsilon``; that takes three seeds. If
    there is a grid only its runs count. Without one, a width that was trained again
    counts by those runs alone; of the others, which widths an arm repeats depends on
    their losses, so they are shown and not tested.
    """
    by_width: dict[int, list[RunRecord]] = defaultdict(list)
    for record in job.of(GRID) or job.records:
        sized = record.kind == "fixed" and find(record.arm).width_only
        if sized and record.params and record.state != "pruned":
            by_width[record.hidden[0]].append(record)
    rows = (_size_row(job, width, _fair(by_width[width])) for width in sorted(by_width))
    return tuple(rows)


def _fair(records: Sequence[RunRecord]) -> Sequence[RunRecord]:
    """Keep the runs that no outcome of theirs has chosen, if there are enough."""
    fair = [record for record in records if find(record.arm).opens_test]
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


def _size_row(job: Job, width: int, records: Sequence[RunRecord]) -> SizeRow:
    losses = [score(record) for record in records]
    all_well = all(map(math.isfinite, losses))
    low, high = mean_interval(losses) if all_well and len(losses) > 1 else (None, None)
    passes = None
    unchosen = all(find(record.arm).opens_test for record in records)
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


def oracle_rows(job: Job) -> tuple[OracleRow, ...]:
    """Summarise the plain networks of each size of a scan that has some, by size.

    It tells whether self-found widths follow the need of the data, or only the steps
    that were taken. A width is sufficient if it is non-inferior to the self-expanding
    runs on the same subsets: the one-sided 95 % upper bound of the mean difference of
    validation losses, subset seed by subset seed, is at most ``compare.epsilon`` times
    their median. Differences of pairs, because at small sizes the subset is the main
    source of variance.
    """
    scan = job.config.scan
    rows = (_oracle_row(job, size) for size in scan.per_class if size in scan.oracle)
    return tuple(row for row in rows if row.widths)


def _oracle_row(job: Job, size: Size) -> OracleRow:
    grown = {r.trial: score(r) for r in job.senn if r.per_class == size}
    reached = [loss for loss in grown.values() if math.isfinite(loss)]
    target = statistics.median(reached) if reached else None
    by_width: dict[int, list[RunRecord]] = defaultdict(list)
    for record in job.of(GRID):
        if record.per_class == size:
            by_width[record.hidden[0]].append(record)
    widths = [_width(job, by_width[w], grown, target) for w in sorted(by_width)]
    sufficient = smallest_sufficient(widths)
    best = min(widths, key=lambda row: row.val_mean or 0.0, default=None)
    return OracleRow(
        per_class=size,
        val_loss=target,
        smallest_sufficient_hidden=sufficient and sufficient.hidden,
        best_fixed_hidden=best and best.hidden,
        best_fixed_val_loss=best and best.val_mean,
        best_fixed_test_accuracy=best and best.test_accuracy,
        widths=tuple(widths),
    )


def _width(
    job: Job,
    records: Sequence[RunRecord],
    grown: Mapping[int, float],
    target: float | None,
) -> OracleWidth:
    seeds = job.config.scan.subset_seeds
    losses = {record.trial % seeds: score(record) for record in records}
    excess = [losses[s] - grown[s] for s in losses if s in grown]
    passes = None
    if target is not None and len(excess) == seeds >= LEAST_SEEDS:
        well = all(map(math.isfinite, excess))
        passes = well and mean_upper(excess) <= job.config.compare.epsilon * target
    accuracies = [r.test_accuracy for r in records if r.test_accuracy is not None]
    return OracleWidth(
        hidden=records[0].hidden[0],
        params=records[0].params,
        seeds=len(records),
        val_mean=statistics.fmean(losses.values()),
        test_accuracy=statistics.median(accuracies) if accuracies else None,
        noninferior=passes,
    )


def retrained(job: Job) -> list[Retrained]:
    """List what each arm's winners reach when trained again.

    The best of many runs looks good by luck on validation data; so winners are trained
    again with fresh seeds, and judged by data that no choice has seen. First come the
    self-expanding runs, plain networks of their median width, and arms whose runs are
    measured themselves, none of them chosen; their target is nothing, since they belong
    to neither, and their ``hidden`` is the median. Winners of two targets may be the
    same network: they are told twice.

    Returns:
        Means over seeds with 95 % intervals (Student's t), none for one seed; nothing
        before the targets are locked.
    """
    if job.target is None:
        return []
    complete = [record for record in job.senn if record.state == "complete"]
    again = (
        trained_again(job.records, (CONFIRM, median_width(complete)))
        if complete
        else []
    )
    ours = [_retrained(SENN, None, complete), _retrained(PLAIN, None, again)]
    for arm in filter(_unchosen, job.arms):
        good = [record for record in job.of(arm) if record.state == "complete"]
        ours.append(_retrained(arm, None, good))
    found = {
        key: _retrained(*key, trained_again(job.records, place_of(record)))
        for key, record in winners(job.records, job.target).items()
    }
    order = {arm: place for place, arm in enumerate(job.arms)}
    ordered = sorted((k for k in found if k[0] in order), key=lambda k: order[k[0]])
    return [row for row in [*ours, *(found[key] for key in ordered)] if row]


def _unchosen(arm: str) -> bool:
    """Tell whether all runs of an opponent count, each with the size that it found."""
    found = find(arm)
    return found.opens_test and found.search == "run" and not found.grows


def _retrained(
    arm: str, target: TargetName | None, records: Sequence[RunRecord]
) -> Retrained | None:
    if not records:
        return None
    # Self-expanding runs differ in width; the others are all alike.
    typical = sorted(records, key=lambda r: r.params)[(len(records) - 1) // 2]
    means = {
        name: _mean([getattr(r, name) for r in records], most=most)
        for name, most in VALUES.items()
    }
    return Retrained(
        arm=arm,
        target=target,
        hidden=typical.hidden,
        params=typical.params,
        seeds=len(records),
        **means,
    )


def _mean(values: Sequence[float | None], *, most: float) -> Interval | None:
    known = [v for v in values if v is not None and math.isfinite(v)]
    if not known or len(known) < len(values):
        return None
    low, high = None, None
    if len(known) > 1:
        # Student's t knows of no ends; none of these values is negative.
        low, high = (min(max(end, 0.0), most) for end in mean_interval(known))
    return Interval(estimate=statistics.fmean(known), low=low, high=high)


def paired(job: Job) -> dict[str, Pairs]:
    """Compare the paired arms with the self-expanding runs, seed by seed.

    The interval of ``excess`` is Student's t over pairs, that of ``better`` exact;
    ``params_ratio`` is a geometric mean. An arm without a complete pair is left out.
    """
    grown = {r.trial: r for r in job.senn if math.isfinite(score(r))}
    found = {}
    for arm in _paired(job.config.baseline.arms):
        own = [r for r in job.of(arm) if math.isfinite(score(r)) and r.trial in grown]
        if own:
            found[arm] = Pairs(**_compared([(r, grown[r.trial]) for r in own]))
    return found


def paired_by_size(job: Job) -> list[CellPairs]:
    """Compare the paired arms of a scan with its cells, size by size."""
    grown = {(r.per_class, r.trial): r for r in job.senn if math.isfinite(score(r))}
    rows = []
    for size in job.config.scan.per_class:
        for arm in _paired(job.config.scan.arms):
            own = [r for r in job.of(arm) if r.per_class == size]
            pairs = [
                (r, grown[r.per_class, r.trial])
                for r in own
                if math.isfinite(score(r)) and (r.per_class, r.trial) in grown
            ]
            if pairs:
                hidden = tuple(sum(r.hidden) for r, _ in pairs)
                known = _compared(pairs)
                rows.append(CellPairs(per_class=size, arm=arm, hidden=hidden, **known))
    return rows


def _paired(arms: Sequence[str]) -> list[str]:
    return sorted(arm for arm in set(arms) if find(arm).paired)


def _compared(pairs: Matched) -> dict[str, Any]:
    excess = [score(own) - score(senn) for own, senn in pairs]
    wins = sum(value < 0 for value in excess)
    low, high = mean_interval(excess) if len(pairs) > 1 else (None, None)
    better_low, better_high = clopper_pearson(wins, len(pairs))
    return {
        "pairs": len(pairs),
        "excess": statistics.fmean(excess),
        "low": low,
        "high": high,
        "better": wins / len(pairs),
        "better_low": better_low,
        "better_high": better_high,
        "test_excess": _test_excess(pairs),
        "params_ratio": statistics.geometric_mean(
            own.params / senn.params for own, senn in pairs
        ),
    }


def _test_excess(pairs: Matched) -> float | None:
    known = [
        own.test_loss - senn.test_loss
        for own, senn in pairs
        if own.test_loss is not None and senn.test_loss is not None
    ]
    return statistics.fmean(known) if known else None

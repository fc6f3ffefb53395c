"""The oracle of a scan: what plain networks of fixed width need at the same size.

It tells whether self-found widths follow the need of the data, or only the steps that
were taken. A width is sufficient if it is non-inferior to the self-expanding runs on
the same subsets: the one-sided 95 % upper bound of the mean difference of validation
losses, subset seed by subset seed, is at most ``compare.epsilon`` times their median.
Differences of pairs, because at small sizes the subset is the main source of variance.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from senn_ray.analysis.job import Job
from senn_ray.analysis.results import OracleRow, OracleWidth, Size
from senn_ray.analysis.sizes import LEAST_SEEDS, smallest_sufficient
from senn_ray.analysis.statistics import mean_upper
from senn_ray.core.records import RunRecord
from senn_ray.search.plan import GRID
from senn_ray.search.targets import score


def oracle_rows(job: Job) -> tuple[OracleRow, ...]:
    """Summarise the plain networks of each size that has some, by size."""
    scan = job.config.scan
    rows = (_row(job, size) for size in scan.per_class if size in scan.oracle)
    return tuple(row for row in rows if row.widths)


def _row(job: Job, size: Size) -> OracleRow:
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

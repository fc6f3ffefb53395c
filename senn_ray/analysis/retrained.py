"""Retrained winners: what each arm's choice of a network gives on test data.

The best of many runs looks good by luck on validation data; so winners are trained
again with fresh seeds, and judged by data that no choice has seen. Contract::

    retrained[{arm target hidden[] params seeds VALUE: {estimate low high}}]

VALUE: ``val_loss test_loss test_accuracy``: means over seeds with 95 % intervals
(Student's t), null for one seed. First the self-expanding runs and plain networks of
their median width (``target`` is null: both belong to neither); their ``hidden`` is
the median. Winners of two targets may be the same network: they are told twice.
"""

import math
import statistics
from collections.abc import Sequence

from senn_ray.analysis.job import Job
from senn_ray.analysis.results import Interval, Retrained
from senn_ray.analysis.statistics import mean_interval
from senn_ray.core.records import RunRecord
from senn_ray.search.arms.confirm import median_width, place_of, trained_again, winners
from senn_ray.search.plan import CONFIRM, SENN
from senn_ray.search.targets import TargetName

VALUES = {"val_loss": math.inf, "test_loss": math.inf, "test_accuracy": 1.0}
"""What is told, and the most that it can be."""
PLAIN = "plain_at_senn_size"


def retrained(job: Job) -> list[Retrained]:
    """List what each arm's winners reach when trained again.

    Args:
        job: The job.

    Returns:
        Rows; nothing before the targets are locked.
    """
    if job.target is None:
        return []
    complete = [record for record in job.senn if record.state == "complete"]
    again = (
        trained_again(job.records, (CONFIRM, median_width(complete)))
        if complete
        else []
    )
    ours = [_row(SENN, None, complete), _row(PLAIN, None, again)]
    found = {
        key: _row(*key, trained_again(job.records, place_of(record)))
        for key, record in winners(job.records, job.target).items()
    }
    order = {arm: place for place, arm in enumerate(job.arms)}
    ordered = sorted((k for k in found if k[0] in order), key=lambda k: order[k[0]])
    return [row for row in [*ours, *(found[key] for key in ordered)] if row]


def _row(
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

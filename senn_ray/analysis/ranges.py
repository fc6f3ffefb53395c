"""How the cost of random search depends on the range of widths it was given.

The range is a choice of the experimenter, so it is told what a smaller or a larger one
would have cost. A log-uniform draw that is known to lie below a cap is a log-uniform
draw below that cap: so trials of the smaller range are those of the larger one that
fall into it. Above the cap nothing was tried; but no network there can be small enough
for quality at size, if the cap is not, so its trials would all have missed.

``range_sensitivity{TARGET: [{highest, trials, hits, runs{estimate low high bound}}]}``
for ``random``, with a quarter of the cap, the cap, and (quality at size) four times it.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from senn_ray.analysis.arm_rows import as_json
from senn_ray.analysis.job import Job
from senn_ray.analysis.statistics import Interval, Reached, cost_to_hit
from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.search.plan import Plan
from senn_ray.search.targets import TARGETS, TargetName, is_hit

FACTOR = 4


def range_sensitivity(job: Job) -> dict[str, Any]:
    """Tell what random search would have needed with other ranges of widths.

    Args:
        job: The job.

    Returns:
        By target; empty without random search, or before the targets are locked.
    """
    records = job.of("random")
    if job.target is None or not records:
        return {}
    plan = Plan(verb="compare", config=job.config)
    return {name: _rows(plan, records, job.target, name) for name in TARGETS}


def _rows(
    plan: Plan, records: Sequence[RunRecord], target: TargetLocked, name: TargetName
) -> list[dict[str, Any]]:
    rows = []
    for highest in (plan.highest // FACTOR, plan.highest):
        kept = [record for record in records if record.hidden[0] <= highest]
        if kept:
            rows.append(_row(highest, [is_hit(r, target, name) for r in kept]))
    largest = max(record.params for record in records)
    if name == "quality_at_size" and largest > target.max_params:
        rows.append(_wider(plan, rows[-1]))
    return rows


def _row(highest: int, hits: Sequence[bool]) -> dict[str, Any]:
    costs = np.ones((len(hits), 1))
    found = Reached(hits=np.array(hits), costs=costs)
    runs = cost_to_hit(found, adaptive=False)[0]
    return {
        "highest": highest,
        "trials": len(hits),
        "hits": sum(hits),
        "runs": as_json(runs),
    }


def _wider(plan: Plan, row: dict[str, Any]) -> dict[str, Any]:
    """Spread the same hits over a wider range: all of its other trials miss."""
    highest = FACTOR * plan.highest
    spread = math.log((highest + 1) / plan.lowest)
    stretch = spread / math.log((plan.highest + 1) / plan.lowest)
    ends = {
        end: None if row["runs"][end] is None else row["runs"][end] * stretch
        for end in ("estimate", "low", "high")
    }
    runs = Interval(**ends, bound=row["runs"]["bound"])
    return {**row, "highest": highest, "runs": as_json(runs)}

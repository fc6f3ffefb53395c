"""One row per arm and target: hits, and what a hit costs."""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from senn_ray.analysis.exchange import Exchange
from senn_ray.analysis.job import Job
from senn_ray.analysis.ledger import cost_row, spent
from senn_ray.analysis.results import ArmRow, Interval
from senn_ray.analysis.statistics import (
    Reached,
    Runs,
    clopper_pearson,
    cost_to_hit,
    geometric_median,
    median_runs,
    reach,
)
from senn_ray.core.records import RunRecord
from senn_ray.search.arms.studies import ASKING
from senn_ray.search.plan import SENN
from senn_ray.search.targets import CURRENCIES, Currency, score

ADAPTIVE = ASKING | {"ladder", "ladder_bisect"}
STOPPED_BY_HITS = frozenset({"random", "qmc"})


def searches(job: Job, arm: str) -> list[Runs]:
    """Return the independent searches of an arm.

    Args:
        job: The job.
        arm: The arm.
    """
    records = job.of(arm)
    if arm not in ADAPTIVE:
        return [as_runs([record]) for record in records]
    return [as_runs(list(g)) for _, g in groupby(records, key=lambda r: r.study)]


def as_runs(records: Sequence[RunRecord]) -> Runs:
    """Return records as arrays.

    Args:
        records: Runs in order.
    """
    return Runs(
        losses=np.array([score(record) for record in records]),
        params=np.array([record.params for record in records], dtype=float),
        costs=np.array([cost_row(record) for record in records]),
    )


def arm_row(job: Job, arm: str, loss: float, limit: float, *, seed: int) -> ArmRow:
    """Describe how an opponent did against one target.

    Args:
        job: The job.
        arm: The opponent.
        loss: Greatest validation loss that counts.
        limit: Most parameters that count; may be infinite.
        seed: Seed of the resampling.
    """
    reached = reach(searches(job, arm), loss, limit)
    adaptive = arm in ADAPTIVE
    costs = cost_to_hit(reached, adaptive=adaptive, seed=seed)
    chance = _probability(job, arm, reached)
    median, low, high = _median_runs(reached, chance, adaptive=adaptive)
    return ArmRow(
        **_row_head(job, arm, limit, reached),
        adaptive=adaptive,
        hit_probability=chance,
        median_runs=median,
        median_runs_low=low,
        median_runs_high=high,
        cost_to_hit=_by_currency(costs),
    )


def senn_row(job: Job, loss: float, limit: float, exchanges: list[Exchange]) -> ArmRow:
    """Describe how self-expanding runs did against one of their own targets.

    Args:
        job: The job.
        loss: Greatest validation loss that counts.
        limit: Most parameters that count; may be infinite.
        exchanges: What any opponent was compared with: their expected cost.
    """
    singles = [as_runs([record]) for record in job.senn]
    reached = reach(singles, loss, limit)
    cost = exchanges[0].senn_cost if exchanges else []
    runs = cost[0].estimate if cost else None
    q = 1 / runs if runs else None
    return ArmRow(
        **_row_head(job, SENN, limit, reached),
        adaptive=False,
        hit_probability=Interval(estimate=q, low=None, high=None),
        median_runs=geometric_median(q) if q else None,
        median_runs_low=None,
        median_runs_high=None,
        cost_to_hit=_by_currency(cost),
    )


def _row_head(job: Job, arm: str, limit: float, reached: Reached) -> dict[str, Any]:
    records = job.of(arm)
    small = [r for r in records if r.params <= limit and math.isfinite(score(r))]
    best = min(small, key=score, default=None)
    return {
        "runs": len(records),
        "searches": len(reached.hits),
        "hits": int(reached.hits.sum()),
        "censored": int((~reached.hits).sum()),
        "best_val_loss": score(best) if best else None,
        "best_hidden": best.hidden if best else None,
        "best_params": best.params if best else None,
        "cost": spent(records),
    }


def _median_runs(
    reached: Reached, chance: Interval, *, adaptive: bool
) -> tuple[float | None, ...]:
    if adaptive:
        middle = median_runs(reached.costs[:, 0].tolist(), reached.hits.tolist())
        return middle.estimate, middle.low, middle.high
    # The more probable a hit, the fewer runs: the ends change places.
    by = (chance.estimate, chance.high, chance.low)
    return tuple(geometric_median(q or 0.0) for q in by)


def _probability(job: Job, arm: str, reached: Reached) -> Interval:
    trials, hits = len(reached.hits), int(reached.hits.sum())
    low, high = clopper_pearson(hits, trials)
    # "Until m hits" makes m / n too large on average; (m - 1) / (n - 1) is unbiased.
    stopped = arm in STOPPED_BY_HITS and hits == job.config.baseline.until_hits
    inverse = stopped and hits > 1 and trials < job.config.baseline.max_trials
    estimate = (hits - 1) / (trials - 1) if inverse else hits / trials
    return Interval(estimate=estimate, low=low, high=high)


def _by_currency(intervals: Sequence[Interval]) -> dict[Currency, Interval]:
    return dict(zip(CURRENCIES, intervals, strict=bool(intervals)))

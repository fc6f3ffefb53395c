"""Hits: which searches of an arm reach a target, and what that costs.

A *search* is one run of an arm whose runs are independent, one study of an arm that
asks Optuna, one repeat of a ladder. A run that is walked down is a search of all its
networks: it hits with the first one that reaches the target, and has cost what it had used
by then. Growing runs are not given that: they are judged by the size that they found, and
by their whole cost.
"""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from senn_ray.analysis.exchange import Exchange
from senn_ray.analysis.job import Job
from senn_ray.analysis.ledger import spent
from senn_ray.analysis.networks import as_networks, as_runs, found, networks
from senn_ray.analysis.results import (
    ArmRow,
    Interval,
    ReachedPoint,
    TargetCurve,
    TargetPoint,
)
from senn_ray.analysis.statistics import (
    Reached,
    Runs,
    Searches,
    clopper_pearson,
    cost_to_hit,
    geometric_median,
    median_runs,
    reach,
    stacked,
)
from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.search.arms import find
from senn_ray.search.plan import SENN
from senn_ray.search.targets import CURRENCIES, TARGETS, Currency, TargetName

POINTS = 20


def searches(job: Job, arm: str) -> list[Runs]:
    """Return the independent searches of an arm."""
    rows = as_runs if find(arm).grows else as_networks
    return [rows(records) for records in grouped(job, arm)]


def grouped(job: Job, arm: str) -> list[list[RunRecord]]:
    """Return the runs of each search of an arm."""
    records = job.of(arm)
    if find(arm).search == "run":
        return [[record] for record in records]
    return [list(g) for _, g in groupby(records, key=lambda r: r.study)]


def arm_row(job: Job, arm: str, loss: float, limit: float, *, seed: int) -> ArmRow:
    """Describe how an opponent did against one target."""
    reached = reach(searches(job, arm), loss, limit)
    adaptive = find(arm).search == "study"
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
    """Describe how self-expanding runs did against one of their own targets."""
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
    grows = find(arm).grows
    nets = [n for r in records for n in ([found(r)] if grows else networks(r))]
    small = [n for n in nets if n.params <= limit and math.isfinite(n.val_loss)]
    best = min(small, key=lambda net: net.val_loss, default=None)
    return {
        "runs": len(records),
        "searches": len(reached.hits),
        "hits": int(reached.hits.sum()),
        "censored": int((~reached.hits).sum()),
        "best_val_loss": best.val_loss if best else None,
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
    stopped = find(arm).stops_at_hits and hits == job.config.baseline.until_hits
    inverse = stopped and hits > 1 and trials < job.config.baseline.max_trials
    estimate = (hits - 1) / (trials - 1) if inverse else hits / trials
    return Interval(estimate=estimate, low=low, high=high)


def _by_currency(intervals: Sequence[Interval]) -> dict[Currency, Interval]:
    return dict(zip(CURRENCIES, intervals, strict=bool(intervals)))


def over_targets(job: Job) -> dict[TargetName, TargetCurve]:
    """Tell what a hit takes at every target, for every arm.

    The headline target, the median loss of the self-expanding runs, may be the one
    where they shine. So some twenty losses between the best and the worst score of all
    arms are asked for, each by the same formula for every arm, self-expanding runs
    included: all runs of the searches until their first hit, over the hits. The
    interval is that of the hit probability, turned into runs; the mean length of a
    search counts as known. Without a hit there is a one-sided bound.

    ``reached`` has the arms that never hit the headline target: the best loss they do
    reach, the runs that it takes, and those of self-expanding runs for the same loss.
    An arm hits its own best loss at least once, so this flatters the arm.

    Self-expanding runs set the headline target themselves: there, at least half of
    these very runs hit, which flatters them. The exchange rate corrects for that
    (``exchange.py``); these curves do not.

    Returns:
        By family of targets; empty before the targets are locked.
    """
    target = job.target
    if target is None:
        return {}
    arms = {a: stacked(searches(job, a)) for a in [SENN, *job.arms] if job.of(a)}
    return {name: _family(arms, target, _limit(target, name)) for name in TARGETS}


def _limit(target: TargetLocked, name: TargetName) -> float:
    return target.max_params if name == "quality_at_size" else math.inf


def _family(
    arms: dict[str, Searches], target: TargetLocked, limit: float
) -> TargetCurve:
    losses = _losses(list(arms.values()), target.val_loss, limit)
    return TargetCurve(
        headline=target.val_loss,
        losses=tuple(losses),
        arms={
            arm: tuple(TargetPoint(**_point(known, loss, limit)) for loss in losses)
            for arm, known in arms.items()
        },
        reached=_reached(arms, target.val_loss, limit),
    )


def _losses(arms: Sequence[Searches], headline: float, limit: float) -> list[float]:
    """Choose losses at even steps through the runs: where runs are, curves change."""
    scores = np.concatenate([_scores(known, limit) for known in arms])
    if not len(scores):
        return [headline]
    steps = np.quantile(scores, np.linspace(0, 1, POINTS), method="lower")
    return sorted({headline, *map(float, steps)})


def _scores(known: Searches, limit: float) -> np.ndarray:
    return known.losses[np.isfinite(known.losses) & (known.params <= limit)]


def _point(known: Searches, loss: float, limit: float) -> dict[str, Any]:
    reached = reach(known, loss, limit)
    return {
        "val_loss": loss,
        "hits": int(reached.hits.sum()),
        "searches": len(reached.hits),
        "runs": cost_to_hit(reached, adaptive=False)[0],
    }


def _reached(
    arms: dict[str, Searches], headline: float, limit: float
) -> dict[str, ReachedPoint]:
    """Tell what arms that never hit the headline target do reach, and at what price."""
    points = {}
    for arm, known in arms.items():
        best = float(_scores(known, limit).min(initial=math.inf))
        if headline < best < math.inf:
            senn = _point(arms[SENN], best, limit)["runs"] if SENN in arms else None
            points[arm] = ReachedPoint(**_point(known, best, limit), senn=senn)
    return points

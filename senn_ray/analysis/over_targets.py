"""Runs to a hit over all targets: the headline target is one point of a curve.

A single target, the median loss of the self-expanding runs, may be the one where they
shine. So some twenty losses between the best and the worst score of all arms are asked
for, each by the same formula for every arm, self-expanding runs included: all runs of
the searches until their first hit, over the hits. The interval is that of the hit
probability (Clopper and Pearson), turned into runs; the mean length of a search counts
as known.
Without a hit there is a one-sided bound. For ``quality_at_size`` only networks with at
most the locked number of parameters count.

``reached`` has the arms that never hit the headline target: the best loss they do
reach, the runs that it takes, and those of self-expanding runs for the same loss
(``senn``). An arm hits its own best loss at least once, so this flatters the arm.

Self-expanding runs set the headline target themselves: there, at least half of these
very runs hit, which flatters them. The exchange rate corrects for that
(``exchange.py``); these curves do not.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from senn_ray.analysis.arm_rows import searches
from senn_ray.analysis.job import Job
from senn_ray.analysis.results import ReachedPoint, TargetCurve, TargetPoint
from senn_ray.analysis.statistics import Searches, cost_to_hit, reach, stacked
from senn_ray.core.events import TargetLocked
from senn_ray.search.plan import SENN
from senn_ray.search.targets import TARGETS, TargetName

POINTS = 20


def over_targets(job: Job) -> dict[TargetName, TargetCurve]:
    """Tell what a hit takes at every target, for every arm.

    Args:
        job: The job.

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
    found = {}
    for arm, known in arms.items():
        best = float(_scores(known, limit).min(initial=math.inf))
        if headline < best < math.inf:
            senn = _point(arms[SENN], best, limit)["runs"] if SENN in arms else None
            found[arm] = ReachedPoint(**_point(known, best, limit), senn=senn)
    return found

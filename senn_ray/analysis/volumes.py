"""Hypervolumes of arms: after so many runs, and what it takes to match growing."""

import math
import statistics
from collections.abc import Sequence

import numpy as np

from senn_ray.analysis.curves import counted
from senn_ray.analysis.front_needs import ArmRuns, Counter, Goal
from senn_ray.analysis.front_results import Reference, Volume, VolumePoint
from senn_ray.analysis.fronts import (
    ROUNDING,
    Box,
    after,
    depths,
    front,
    hypervolume,
    least_runs,
    make_box,
)
from senn_ray.analysis.intervals import Interval
from senn_ray.analysis.job import Job
from senn_ray.analysis.networks import as_networks, as_runs, networks
from senn_ray.analysis.statistics import Floats, jackknife_interval, mean_interval
from senn_ray.core.records import RunRecord
from senn_ray.search.plan import Plan
from senn_ray.search.targets import CURRENCIES, Currency

MOST_LEFT_OUT = 64
"""Runs of an arm up to which intervals leave out each of them in turn."""


def reference_of(job: Job) -> Reference | None:
    """Return the reference point of the hypervolume, as the protocol has it."""
    losses = [r.guess_val_loss for r in job.records if r.guess_val_loss]
    nets = [net for record in job.records for net in networks(record)]
    known = {n.hidden[0]: n.params for n in nets if len(n.hidden) == 1 and n.params}
    if not losses or len(known) < 2:
        return None
    # Parameters are linear in the width of one hidden layer.
    (low, few), *_, (high, many) = sorted(known.items())
    each = (many - few) / (high - low)
    plan = Plan(verb="compare", config=job.config)
    least, most = (round(few + each * (units - low)) for units in (1, plan.highest))
    if least >= most:
        return None
    return Reference(least_params=least, most_params=most, val_loss=losses[0])


def box_of(arms: Sequence[ArmRuns], reference: Reference) -> Box:
    """Return where hypervolumes are measured, cut at the sizes of all networks."""
    params = np.concatenate([rows.params for arm in arms for rows in arm.rows])
    return make_box(
        params, reference.least_params, reference.most_params, reference.val_loss
    )


def depths_of(records: Sequence[RunRecord], box: Box) -> Floats:
    """Return the depths of the front of each run [n, g]."""
    losses = np.stack([front(as_networks([r]), box.sizes) for r in records])
    return depths(losses, box)


def volume(counter: Counter, arm: ArmRuns, box: Box, target: float) -> Volume:
    """Describe the hypervolume of an arm, and what it needs until that is the target."""
    deep = [depths_of(search, box) for search in arm.searches]
    whole = [float(hypervolume(part.max(axis=0), box)) for part in deep]
    low, high = mean_interval(whole) if len(whole) > 1 else (None, None)
    goal = Goal(
        name="hypervolume",
        reaches=lambda d: hypervolume(d, box) >= target - ROUNDING,
        bound=least_runs,
    )
    return Volume(
        one_search=Interval(estimate=statistics.fmean(whole), low=low, high=high),
        best=float(hypervolume(np.concatenate(deep).max(axis=0), box)),
        curve=tuple(_curve(arm, deep, box)),
        needed=counter.until(arm, deep, goal),
    )


def _curve(arm: ArmRuns, deep: Sequence[Floats], box: Box) -> list[VolumePoint]:
    """Compute the expected hypervolume after 1, 2, ... runs.

    Of independent runs it is the mean over all orders; of studies that over studies,
    each of which keeps its last front after its end. Intervals are the jackknife's over
    runs, and Student's t over studies.
    """
    costs = [as_runs(search).costs for search in arm.searches]
    if not arm.adaptive:
        runs, mean = np.concatenate(deep), np.concatenate(costs).mean(axis=0)
        return [_after(runs, k, box, k * mean) for k in counted(len(runs))]
    points = []
    for k in counted(max(map(len, deep))):
        volumes = [float(hypervolume(d[:k].max(axis=0), box)) for d in deep]
        ends = mean_interval(volumes) if len(volumes) > 1 else (None, None)
        spent = np.mean([cost[:k].sum(axis=0) for cost in costs], axis=0)
        points.append(_point(k, statistics.fmean(volumes), ends, spent))
    return points


def _after(runs: Floats, k: int, box: Box, spent: Floats) -> VolumePoint:
    mean, ends = float(hypervolume(after(runs, k), box)), (None, None)
    # Of nearly all runs there are hardly any subsets that differ.
    if 1 < len(runs) <= MOST_LEFT_OUT and 2 * k <= len(runs):
        rest = (np.delete(runs, n, axis=0) for n in range(len(runs)))
        left_out = [float(hypervolume(after(part, k), box)) for part in rest]
        ends = jackknife_interval(mean, left_out)
    return _point(k, mean, ends, spent)


def _point(
    k: int, mean: float, ends: tuple[float | None, float | None], spent: Floats
) -> VolumePoint:
    cost: dict[Currency, float] = dict(zip(CURRENCIES, map(float, spent), strict=True))
    low, high = (e if e is None or math.isfinite(e) else None for e in ends)
    return VolumePoint(runs=k, hypervolume=mean, low=low, high=high, cost=cost)

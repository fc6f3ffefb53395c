"""Front against front: what each arm needs to be as good as growing at every size.

A growing run returns networks of many sizes, so one size is not all that it must be
compared at. Three questions, by one formula for every arm, growing included:

- at each rung of the median growing run's front, and at all of them together: what does
  it take until the front at this size is within ``compare.epsilon`` of the growing runs'
  median there?
- by hypervolume (``fronts.py``): what does it take until it is that of one growing run?
- against arms that prune a wide network: the difference at equal sizes, and the cost
  (``pruned.py``).

Growing runs set these targets themselves, and targets count as known: so about half of
the growing runs reach them, and intervals are those of the arms' runs alone.
"""

import math
import statistics
from collections.abc import Sequence

import numpy as np

from senn_ray.analysis.front_needs import (
    ArmRuns,
    Counter,
    Goal,
    by_run,
    first_met,
    met,
    runs_of,
)
from senn_ray.analysis.front_results import (
    FrontComparison,
    FrontPoint,
    Needed,
    RungNeeds,
    Volume,
)
from senn_ray.analysis.fronts import between, front, hypervolume
from senn_ray.analysis.job import Job
from senn_ray.analysis.networks import Network, as_networks, as_runs, networks
from senn_ray.analysis.pruned import against
from senn_ray.analysis.statistics import Floats, cost_to_hit, least_searches
from senn_ray.analysis.volumes import box_of, depths_of, reference_of, volume
from senn_ray.core.records import RunRecord
from senn_ray.search.plan import SENN
from senn_ray.search.targets import score


def front_comparison(job: Job) -> FrontComparison | None:
    """Compare the fronts of all arms; nothing before a growing run is complete."""
    grown = [record for record in job.senn if math.isfinite(score(record))]
    if not grown:
        return None
    arms = [runs_of(job, name) for name in [SENN, *job.arms] if job.of(name)]
    counter = Counter(job=job, unit=as_runs(grown).costs.mean(axis=0))
    rungs, reference = targets(grown), reference_of(job)
    volumes, target = dict[str, Volume](), None
    if reference is not None:
        box = box_of(arms, reference)
        target = float(np.median(hypervolume(depths_of(grown, box), box)))
        volumes = {arm.name: volume(counter, arm, box, target) for arm in arms}
    rows, every = _rungs(counter, arms, rungs) if rungs else ((), {})
    return FrontComparison(
        reference=reference,
        target_hypervolume=target,
        arms={arm.name: _points(arm) for arm in arms},
        rungs=rows,
        every_rung=every,
        hypervolume=volumes,
        against=against(job, [net.params for net in rungs]),
    )


def targets(grown: Sequence[RunRecord]) -> list[Network]:
    """Return the sizes of the median growing run, with the runs' median losses there.

    It is the run of (low) median found size. Its sizes come largest first; those that
    half of the runs did not go down to are left out.
    """
    typical = sorted(grown, key=lambda r: (r.params, r.run_id))[(len(grown) - 1) // 2]
    by_size = {net.params: net.hidden for net in networks(typical)}
    sizes = sorted(by_size, reverse=True)
    losses = [between(as_networks([r]), np.array(sizes, dtype=float)) for r in grown]
    # Not a number: the run has no network so small.
    columns = np.nan_to_num(np.stack(losses).T, nan=np.inf)
    medians = [statistics.median(map(float, column)) for column in columns]
    return [
        Network(hidden=by_size[size], params=size, val_loss=loss)
        for size, loss in zip(sizes, medians, strict=True)
        if math.isfinite(loss)
    ]


def _rungs(
    counter: Counter, arms: Sequence[ArmRuns], rungs: Sequence[Network]
) -> tuple[tuple[RungNeeds, ...], dict[str, Needed]]:
    """Tell what each arm needs at each rung, and until every rung is reached."""
    sizes = np.array([net.params for net in rungs], dtype=float)
    bounds = np.array([net.val_loss for net in rungs]) * counter.margin
    # For a single rung one network must reach it, so its bound is that of a hit.
    goal = Goal(
        name="every rung",
        reaches=lambda deep: deep.min(axis=-1) > 0,
        bound=least_searches,
    )
    found, every = [dict[str, Needed]() for _ in rungs], dict[str, Needed]()
    for arm in arms:
        good = met(arm, sizes, bounds)
        for place, needs in enumerate(found):
            reached = first_met(arm, good, place)
            seed = counter.seed("rung", arm.name, place)
            costs = cost_to_hit(reached, adaptive=arm.adaptive, seed=seed)
            needs[arm.name] = counter.needed(reached, costs)
        every[arm.name] = counter.until(arm, by_run(arm, good), goal)
    rows = [
        RungNeeds(
            units=sum(net.hidden), params=net.params, val_loss=net.val_loss, arms=needs
        )
        for net, needs in zip(rungs, found, strict=True)
    ]
    return tuple(rows), every


def _points(arm: ArmRuns) -> tuple[FrontPoint, ...]:
    """Describe the front of an arm: the median search, and quartiles.

    A run of one size is no front, so runs of arms that search one size count together.
    """
    several = arm.adaptive or any(len(networks(r)) > 1 for r in arm.records)
    searches = arm.searches if several else [arm.records]
    nets = [net for record in arm.records for net in networks(record)]
    units = {net.params: sum(net.hidden) for net in nets if math.isfinite(net.val_loss)}
    sizes = np.array(sorted(units), dtype=float)
    losses = np.stack([front(as_networks(search), sizes) for search in searches])
    points = list[FrontPoint]()
    for size, column in zip(map(int, sizes), losses.T, strict=True):
        middle, ends = statistics.median(map(float, column)), _quartiles(column)
        low, high = ends
        point = FrontPoint(
            units=units[size], params=size, val_loss=middle, low=low, high=high
        )
        if math.isfinite(middle) and not (points and _alike(points[-1], point)):
            points.append(point)
    return tuple(points)


def _alike(one: FrontPoint, other: FrontPoint) -> bool:
    names = ("val_loss", "low", "high")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _quartiles(values: Floats) -> tuple[float | None, float | None]:
    """Return the quartiles of several losses, as far as they are finite."""
    if len(values) < 2:
        return None, None
    # No interpolation: with a loss that is infinite it would not be a number.
    low = float(np.quantile(values, 0.25, method="lower"))
    high = float(np.quantile(values, 0.75, method="higher"))
    return low if math.isfinite(low) else None, high if math.isfinite(high) else None

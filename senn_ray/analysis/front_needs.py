"""What an arm needs until its networks together are as good as wanted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from senn_ray.analysis.front_results import Needed
from senn_ray.analysis.fronts import Reaches, between, runs_until
from senn_ray.analysis.hits import grouped
from senn_ray.analysis.intervals import Interval
from senn_ray.analysis.job import Job
from senn_ray.analysis.networks import as_networks, as_runs, networks
from senn_ray.analysis.pruned import PRUNING
from senn_ray.analysis.statistics import Floats, Reached, Runs, cost_to_hit
from senn_ray.core.records import RunRecord
from senn_ray.core.seeds import derive
from senn_ray.search.arms import find
from senn_ray.search.targets import CURRENCIES, Currency

Met = NDArray[np.bool_]
UNKNOWN = Interval(estimate=None, low=None, high=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmRuns:
    """The runs of an arm, search by search."""

    name: str
    adaptive: bool
    """Whether a search is a study of runs that belong together."""
    searches: list[list[RunRecord]]
    ladder: bool
    """Whether the networks of a search are rungs, which could be of any size."""

    @property
    def records(self) -> list[RunRecord]:
        """All runs."""
        return [record for search in self.searches for record in search]

    @property
    def rows(self) -> list[Runs]:
        """The networks of each search."""
        return [as_networks(search) for search in self.searches]


def runs_of(job: Job, name: str) -> ArmRuns:
    """Return the runs of an arm."""
    searches = grouped(job, name)
    walks = any(len(networks(r)) > 1 for search in searches for r in search)
    return ArmRuns(
        name=name,
        adaptive=find(name).search == "study",
        searches=searches,
        ladder=walks or name in PRUNING,
    )


def met(arm: ArmRuns, sizes: Floats, bounds: Floats) -> list[Met]:
    """Tell at which sizes the networks of each search are good enough.

    A network counts at every size that is no less than its own. The networks of a ladder
    count between their sizes too, on a line (``fronts.between``): whoever walks down, or
    says what to prune to, could have put a rung there, and the rungs of one ladder are
    no fair place to look at another. They count from the lower one on.

    Args:
        arm: The arm.
        sizes: Where [r].
        bounds: The greatest loss that is good enough there [r].

    Returns:
        For each search [networks, r], in the order in which they came.
    """
    found = list[Met]()
    for rows in arm.rows:
        good = (rows.losses[:, None] <= bounds) & (rows.params[:, None] <= sizes)
        if arm.ladder:
            for place in range(len(rows.losses)):
                known = Runs(
                    losses=rows.losses[: place + 1],
                    params=rows.params[: place + 1],
                    costs=rows.costs[: place + 1],
                )
                good[place] |= between(known, sizes) <= bounds
        found.append(good)
    return found


def first_met(arm: ArmRuns, good: Sequence[Met], place: int) -> Reached:
    """Follow searches to the network with which one size is good enough.

    Args:
        arm: The arm.
        good: What ``met`` gave.
        place: Which size.
    """
    hits = [bool(part[:, place].any()) for part in good]
    costs = [
        rows.costs[: int(part[:, place].argmax()) + 1 if hit else None].sum(axis=0)
        for rows, part, hit in zip(arm.rows, good, hits, strict=True)
    ]
    return Reached(hits=np.array(hits), costs=np.stack(costs))


def by_run(arm: ArmRuns, good: Sequence[Met]) -> list[Floats]:
    """Tell at which sizes each run is good enough: what ``met`` gave, run by run [n, r]."""
    found = []
    for search, part in zip(arm.searches, good, strict=True):
        starts = np.cumsum([0, *(len(networks(r)) for r in search)])[:-1]
        found.append(np.maximum.reduceat(part.astype(float), starts, axis=0))
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What the networks of an arm are to reach together."""

    name: str
    reaches: Reaches
    bound: Callable[[int], float]
    """One-sided bound of the runs, after so many that did not reach it together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counter:
    """Counts what is needed, in every currency and in growing runs."""

    job: Job
    unit: Floats
    """Mean cost of a growing run [c]."""

    @property
    def margin(self) -> float:
        """The factor by which a loss may be greater and still count as good."""
        return 1 + self.job.config.compare.epsilon

    def needed(self, reached: Reached, costs: Sequence[Interval]) -> Needed:
        """Describe expected costs, one for each currency."""
        own, times = dict[Currency, Interval](), dict[Currency, Interval]()
        for currency, cost, unit in zip(CURRENCIES, costs, self.unit, strict=True):
            # Seconds of unlike devices are not one currency.
            known = unit > 0 and (currency != "device_s" or len(self.job.devices) < 2)
            own[currency] = cost if known else UNKNOWN
            times[currency] = scaled(cost, 1 / float(unit)) if known else UNKNOWN
        hits = int(reached.hits.sum())
        return Needed(searches=len(reached.hits), hits=hits, cost=own, times=times)

    def until(self, arm: ArmRuns, deep: Sequence[Floats], goal: Goal) -> Needed:
        """Tell what an arm needs until its runs together reach a goal.

        Independent runs are added up, however many it takes. A study has as many as it
        has, and is followed by another one.

        Args:
            arm: The arm.
            deep: What each of its runs reaches, search by search [n, g].
            goal: What is good enough.
        """
        if arm.adaptive:
            reached = _studies(arm, deep, goal)
            costs = cost_to_hit(
                reached, adaptive=True, seed=self.seed(goal.name, arm.name)
            )
            return self.needed(reached, costs)
        runs, costs = np.concatenate(deep), as_runs(arm.records).costs
        rng = np.random.default_rng(self.seed(goal.name, arm.name))
        number = runs_until(runs, goal.reaches, without=goal.bound(len(runs)), rng=rng)
        reached = Reached(hits=goal.reaches(runs), costs=costs)
        return self.needed(reached, [scaled(number, float(c)) for c in costs.mean(0)])

    def seed(self, *stream: object) -> int:
        """Return the seed of a named stream of random numbers."""
        return derive(self.job.config.seed, "fronts", *stream)


def _studies(arm: ArmRuns, deep: Sequence[Floats], goal: Goal) -> Reached:
    """Follow studies to the run with which they reach a goal."""
    good = [goal.reaches(np.maximum.accumulate(part, axis=0)) for part in deep]
    last = [int(g.argmax()) if g.any() else len(g) - 1 for g in good]
    spent = [as_runs(search).costs.cumsum(axis=0) for search in arm.searches]
    return Reached(
        hits=np.array([bool(g.any()) for g in good]),
        costs=np.stack([costs[n] for costs, n in zip(spent, last, strict=True)]),
    )


def scaled(values: Interval, by: float) -> Interval:
    """Multiply an interval by a positive number."""
    estimate, low, high = (
        end if end is None else end * by
        for end in (values.estimate, values.low, values.high)
    )
    return Interval(estimate=estimate, low=low, high=high, bound=values.bound)

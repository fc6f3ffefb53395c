"""Statistics of the comparison: expected cost to a hit, with honest intervals.

Words. A *search* is one independent attempt: a single trial of an arm whose trials are
independent, or a whole study of an adaptive arm. It hits at its first run that reaches
the target; its cost is what it used until then, or until it gave up. If q is the
probability that a search hits, and searches are repeated until one does, the expected
cost to a hit is E[cost] / q (Wald's identity; COCO calls it expected running time). A
self-expanding run is a search of one run. Both sides use this formula, so for two
identical arms the exchange rate is 1 at every target.

Arrays. ``losses`` [n] (infinite for a run that failed), ``params`` [n], ``costs``
[n, c] with one column per currency; column 0 counts runs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from senn_ray.analysis.distributions import (
    CONFIDENCE,
    clopper_pearson,
    fisher_tail,
    ranks,
    student,
)
from senn_ray.analysis.results import Interval

DRAWS = 10_000
LEAST_PROBABILITY = 1e-300
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    """Runs in a fixed order, as arrays."""

    losses: Floats
    params: Floats
    costs: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """What independent searches needed for one target."""

    hits: NDArray[np.bool_]
    """[n]: whether each search reached the target."""
    costs: Floats
    """[n, c]: what each used until it hit, or until it gave up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Searches:
    """Independent searches as arrays, so that many targets are looked up fast.

    A search that is shorter than the longest one is filled up with runs that reach
    nothing and cost nothing.
    """

    losses: Floats
    """[n, k]"""
    params: Floats
    """[n, k]"""
    spent: Floats
    """[n, k, c]: costs up to and with each run."""


def stacked(searches: Sequence[Runs]) -> Searches:
    """Return searches as arrays.

    Args:
        searches: Independent searches, of at least one run each.
    """
    longest = max(len(search.losses) for search in searches)
    shape = (len(searches), longest)
    losses, params = np.full(shape, np.inf), np.full(shape, np.inf)
    costs = np.zeros((*shape, searches[0].costs.shape[1]))
    for row, search in enumerate(searches):
        count = len(search.losses)
        losses[row, :count] = search.losses
        params[row, :count] = search.params
        costs[row, :count] = search.costs
    return Searches(losses=losses, params=params, spent=costs.cumsum(axis=1))


def reach(
    searches: Sequence[Runs] | Searches, loss: float, max_params: float
) -> Reached:
    """Follow searches to their first run that reaches a target.

    Args:
        searches: Independent searches.
        loss: Greatest validation loss that counts; not infinite.
        max_params: Most parameters that count; infinite for quality alone.
    """
    known = searches if isinstance(searches, Searches) else stacked(searches)
    good = (known.losses <= loss) & (known.params <= max_params)
    hits = np.asarray(good.any(axis=1))
    last = np.where(hits, good.argmax(axis=1), good.shape[1] - 1)
    return Reached(hits=hits, costs=known.spent[np.arange(len(last)), last])


def least_searches(trials: int) -> float:
    """Return the one-sided 95 % lower bound of the searches to a hit, after no hit.

    Args:
        trials: Searches, none of which hit. 64 of them give 21.9.
    """
    return 1 / (1 - (1 - CONFIDENCE) ** (1 / trials))


def cost_to_hit(reached: Reached, *, adaptive: bool, seed: int = 0) -> list[Interval]:
    """Estimate the expected cost to a hit of a target that is known exactly.

    The estimate is the total cost over the number of hits. It is unbiased for runs
    under "until m hits", and consistent under a fixed number of trials. The interval
    is exact (Clopper-Pearson) for independent trials; for studies it comes from
    resampling studies, never trials inside one, together with a Beta draw of q.

    Args:
        reached: What the searches needed.
        adaptive: Whether a search is a study of trials that depend on each other.
        seed: Seed of the resampling.

    Returns:
        One interval per currency.
    """
    count, hits = len(reached.hits), int(reached.hits.sum())
    mean = reached.costs.mean(axis=0)
    if hits == 0:
        return [lower_bound(least_searches(count) * m) for m in mean]
    if adaptive:
        draws = cost_draws(reached, np.random.default_rng(seed), DRAWS)
        low, high = percentiles(draws)
    else:
        least, most = clopper_pearson(hits, count)
        low, high = mean / most, mean / least
    estimate = mean * count / hits
    return [ordered_interval(*ends) for ends in zip(estimate, low, high, strict=True)]


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the two-sided 95 % interval of a mean (Student's t).

    Args:
        values: At least two numbers.
    """
    tail = (1 - CONFIDENCE) / 2
    margin = _mean_margin(values, 1 - tail)
    return float(np.mean(values)) - margin, float(np.mean(values)) + margin


def mean_upper(values: Sequence[float]) -> float:
    """Return the one-sided 95 % upper bound of a mean (Student's t).

    Args:
        values: At least two numbers.
    """
    return float(np.mean(values)) + _mean_margin(values, CONFIDENCE)


def jackknife_interval(
    estimate: float, left_out: Sequence[float]
) -> tuple[float, float]:
    """Return the two-sided 95 % interval of an estimate from n groups of data.

    The spread is that of the estimates without one group each, with Student's t of
    n - 1 degrees of freedom; for a mean of n numbers it is ``mean_interval``.

    Args:
        estimate: From all groups.
        left_out: Without each of the n groups in turn; n is at least two.
    """
    n = len(left_out)
    spread = math.sqrt((n - 1) * float(np.var(left_out)))
    margin = student(1 - (1 - CONFIDENCE) / 2, n - 1) * spread
    return estimate - margin, estimate + margin


def lack_of_fit(x: Floats, y: Floats, fitted: Floats) -> float | None:
    """Test whether repeated points lie about a fitted line (F test of lack of fit).

    Args:
        x: Places, some of them repeated, at least three different ones.
        y: Values.
        fitted: The line's value at each place.

    Returns:
        The probability of so bent a trend if the truth is a line; nothing where
        repetitions do not show how much values scatter.
    """
    places, group = np.unique(x, return_inverse=True)
    means = np.bincount(group, y) / np.bincount(group)
    scatter = float(np.sum((y - means[group]) ** 2))
    bend = float(np.sum((means[group] - fitted) ** 2))
    free, bends = len(x) - len(places), len(places) - 2
    if free < 1 or bends < 1 or scatter <= 0:
        return None
    return fisher_tail((bend / bends) / (scatter / free), bends, free)


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Spearman's correlation, or nothing if one side never changes.

    Args:
        x: At least two numbers.
        y: As many.
    """
    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return float(np.corrcoef(ranks([*x]), ranks([*y]))[0, 1])


def _mean_margin(values: Sequence[float], level: float) -> float:
    spread = float(np.std(values, ddof=1))
    return student(level, len(values) - 1) * spread / math.sqrt(len(values))


def cost_draws(reached: Reached, rng: np.random.Generator, draws: int) -> Floats:
    """Draw expected costs to a hit: resampled costs over a Beta draw of q.

    The Beta is Jeffreys' posterior; with no hit at all it is Beta(1, n), whose upper
    95 % point is the exact one-sided bound.

    Args:
        reached: What the searches needed.
        rng: Source of randomness.
        draws: How many.

    Returns:
        [draws, c].
    """
    count, hits = len(reached.hits), int(reached.hits.sum())
    if hits:
        q = rng.beta(hits + 0.5, count - hits + 0.5, size=draws)
    else:
        q = rng.beta(1, count, size=draws)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=draws) / count
    return (weights @ reached.costs) / np.maximum(q, LEAST_PROBABILITY)[:, None]


def percentiles(draws: Floats) -> tuple[Floats, Floats]:
    """Return the ends of the 95 % percentile interval of [draws, c], each [c].

    Args:
        draws: Draws, which may be infinite.
    """
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0, method="lower")
    return low, high


def ordered_interval(estimate: float, low: float, high: float) -> Interval:
    """Make an interval that contains its estimate; an infinite end becomes nothing.

    Args:
        estimate: The plug-in estimate, which may lie just outside a percentile.
        low: The low end.
        high: The high end.
    """
    return Interval(
        estimate=float(estimate),
        low=float(min(low, estimate)),
        high=float(max(high, estimate)) if math.isfinite(high) else None,
    )


def lower_bound(low: float) -> Interval:
    """Make a one-sided bound.

    Args:
        low: The least value that the data leave open.
    """
    return Interval(estimate=None, low=float(low), high=None, bound=True)

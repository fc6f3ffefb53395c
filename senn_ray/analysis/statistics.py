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
from scipy import stats

from senn_ray.analysis.results import Interval

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
DRAWS = 10_000
LEAST_PROBABILITY = 1e-300
# A product of shares that is one half may come out a little above.
HALF = 0.5 + 1e-12
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
    """Return searches as arrays."""
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
    """Follow searches to their first run that reaches a target."""
    known = searches if isinstance(searches, Searches) else stacked(searches)
    good = (known.losses <= loss) & (known.params <= max_params)
    hits = np.asarray(good.any(axis=1))
    last = np.where(hits, good.argmax(axis=1), good.shape[1] - 1)
    return Reached(hits=hits, costs=known.spent[np.arange(len(last)), last])


def clopper_pearson(hits: int, trials: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a hit probability.

    It also holds, a little wide, when the trials stopped at a number of hits: its low
    end is the one of that (negative binomial) rule, its high end is above.
    """
    ends = stats.binomtest(hits, trials).proportion_ci(CONFIDENCE, "exact")
    return float(ends.low), float(ends.high)


def least_searches(trials: int) -> float:
    """Return the one-sided 95 % lower bound of the searches to a hit, after no hit."""
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
    """Return the two-sided 95 % interval of a mean of two or more (Student's t)."""
    spread = float(stats.sem(values))
    if spread == 0:
        # Student's t has no scale then; all values agree.
        return float(values[0]), float(values[0])
    low, high = stats.t.interval(CONFIDENCE, len(values) - 1, np.mean(values), spread)
    return float(low), float(high)


def difference_interval(
    one: Sequence[float] | Floats, other: Sequence[float] | Floats
) -> Interval:
    """Return the difference of two means with its 95 % interval (Welch's t).

    It takes two values on each side; without, there is no interval.
    """
    estimate = float(np.mean(one) - np.mean(other))
    counts = len(one), len(other)
    if min(counts) < 2:
        return Interval(estimate=estimate, low=None, high=None)
    parts = [float(np.var(v, ddof=1)) / len(v) for v in (one, other)]
    if sum(parts) == 0:
        return Interval(estimate=estimate, low=estimate, high=estimate)
    free = [p**2 / (n - 1) for p, n in zip(parts, counts, strict=True)]
    margin = stats.t.ppf(1 - TAIL, sum(parts) ** 2 / sum(free)) * math.sqrt(sum(parts))
    return Interval(
        estimate=estimate, low=estimate - float(margin), high=estimate + float(margin)
    )


def mean_upper(values: Sequence[float]) -> float:
    """Return the one-sided 95 % upper bound of a mean of two or more (Student's t)."""
    margin = stats.t.ppf(CONFIDENCE, len(values) - 1) * stats.sem(values)
    return float(np.mean(values) + margin)


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
    margin = float(stats.t.ppf(1 - TAIL, n - 1)) * spread
    return estimate - margin, estimate + margin


def lack_of_fit(x: Floats, y: Floats, fitted: Floats) -> float | None:
    """Test whether repeated points lie about a fitted line (F test of lack of fit).

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
    return float(stats.f.sf((bend / bends) / (scatter / free), bends, free))


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Spearman's correlation, or nothing if one side never changes."""
    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return float(stats.spearmanr(x, y).statistic)  # pyright: ignore[reportAttributeAccessIssue]


def median_runs(runs: Sequence[float], hits: Sequence[bool]) -> Interval:
    """Return the number of runs after which half of the searches have hit.

    Searches of adaptive arms may be censored: a study that ended without a hit after 8
    runs tells that it takes more than 8. The estimate is that of Kaplan and Meier. The
    interval holds every number of runs at which that of the chance of no hit leaves
    one half open (Brookmeyer and Crowley); and this one is exact: of the searches that
    were followed for k runs (or hit before), the number that hit is binomial. Studies
    of one arm are equally long, so this loses nothing, and it holds for as few as there
    are, where Greenwood's formula does not. Nothing stands for more than was tried.

    Args:
        runs: What each search used until it hit, or until its end.
        hits: Whether it hit.
    """
    ends, hit = np.asarray(runs), np.asarray(hits, dtype=bool)
    data = stats.CensoredData.right_censored(ends, ~hit)
    counts = np.arange(1, int(ends.max()) + 1)
    chances = stats.ecdf(data).sf.evaluate(counts)
    lows, highs = [], []
    for k, chance in zip(counts, chances, strict=True):
        followed, so_far = (ends >= k) | hit, hit & (ends <= k)
        least, most = clopper_pearson(int(so_far.sum()), int(followed.sum()))
        lows.append(min(1 - most, chance))
        highs.append(max(1 - least, chance))

    def first(values: Sequence[float] | Floats) -> float | None:
        reached = np.flatnonzero(np.asarray(values) <= HALF)
        return float(counts[reached[0]]) if len(reached) else None

    return Interval(estimate=first(chances), low=first(lows), high=first(highs))


def geometric_median(probability: float) -> float | None:
    """Return the median number of independent trials to a hit of this probability."""
    if probability <= 0:
        return None
    if probability >= 1:
        return 1.0
    return float(max(1, math.ceil(math.log(0.5) / math.log1p(-probability) - 1e-9)))


def cost_draws(reached: Reached, rng: np.random.Generator, draws: int) -> Floats:
    """Draw expected costs to a hit: resampled costs over a Beta draw of q.

    The Beta is Jeffreys' posterior; with no hit at all it is Beta(1, n), whose upper
    95 % point is the exact one-sided bound.

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
    """Return the ends of the 95 % percentile interval of [draws, c], each [c]."""
    low, high = np.quantile(draws, [TAIL, 1 - TAIL], axis=0, method="lower")
    return low, high


def ordered_interval(estimate: float, low: float, high: float) -> Interval:
    """Make an interval that contains its estimate; an infinite end becomes nothing."""
    return Interval(
        estimate=float(estimate),
        low=float(min(low, estimate)),
        high=float(max(high, estimate)) if math.isfinite(high) else None,
    )


def lower_bound(low: float) -> Interval:
    """Make a one-sided bound."""
    return Interval(estimate=None, low=float(low), high=None, bound=True)

"""The best of k runs: what a budget of so many runs is expected to give.

``best_of`` is the unbiased expectation. Its interval is that of the *median* best of k,
which is a quantile of the distribution of single runs (the best of k is above x if all
k are): so it is exact, for any distribution, by counting (Clopper and Pearson on order
statistics). No such interval exists for the expectation, which depends on how good runs
may become, beyond those seen; where the data do not bound the median, an end is
missing. See Lourie et al. 2023, who argue for the median for the same reason.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from senn_ray.analysis.results import BestOf
from senn_ray.analysis.statistics import TAIL, Runs, mean_interval

Point = tuple[int, dict[str, float | None], np.ndarray]
EVERY = 64
STEP = 1.05


def curve(
    searches: Sequence[Runs], currencies: Sequence[str], *, adaptive: bool
) -> list[BestOf]:
    """Compute the best loss and the mean cost after 1, 2, ... runs.

    Args:
        searches: Studies; or for independent trials, one that holds all of them.
        currencies: Names of the columns of the costs.
        adaptive: Whether the order of runs inside a search means something. If not,
            the unbiased mean over all subsets is used; if so, the mean over studies,
            each of which keeps its last best after its end.

    Returns:
        Of every number of runs up to 64, then of ever fewer (5 % apart) and the last:
        the expected and the median best loss; ``low`` and ``high`` are the 95 %
        interval of the median for independent trials (exact), of the mean over studies
        for adaptive ones (Student's t); nothing where the data do not give one. An
        infinite loss means that some of the subsets or studies had only failures.
    """
    points = _over_studies(searches) if adaptive else _over_subsets(searches)
    return [
        BestOf(
            runs=number,
            **losses,
            cost=dict(zip(currencies, map(float, cost), strict=True)),
        )
        for number, losses, cost in points
    ]


def counted(most: int) -> list[int]:
    """List numbers of runs: a curve of thousands of points shows no more than these."""
    counts = list(range(1, min(most, EVERY) + 1))
    while counts and counts[-1] < most:
        counts.append(min(math.ceil(counts[-1] * STEP), most))
    return counts


def _over_subsets(searches: Sequence[Runs]) -> Iterator[Point]:
    losses = [float(x) for search in searches for x in search.losses]
    if not losses:
        return
    mean = np.concatenate([search.costs for search in searches]).mean(axis=0)
    for k in counted(len(losses)):
        middle = median_best_of(losses, k)
        yield (
            k,
            {
                "val_loss": best_of(losses, k),
                "median": middle.estimate,
                "low": middle.low,
                "high": middle.high,
            },
            k * mean,
        )


def _over_studies(searches: Sequence[Runs]) -> Iterator[Point]:
    for k in counted(max((len(search.losses) for search in searches), default=0)):
        best = [float(search.losses[:k].min()) for search in searches]
        known = len(best) > 1 and bool(np.isfinite(best).all())
        low, high = mean_interval(best) if known else (None, None)
        costs = [search.costs[:k].sum(axis=0) for search in searches]
        yield (
            k,
            {
                "val_loss": float(np.mean(best)),
                "median": float(np.median(best)),
                "low": low,
                "high": high,
            },
            np.mean(costs, axis=0),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Median:
    """The median best of k runs with its exact 95 % interval; ends may be unknown."""

    estimate: float
    low: float | None
    high: float | None


def best_of(scores: Sequence[float], k: int) -> float:
    """Return the expected least of k scores, without bias (a U-statistic).

    It is the mean of the minimum over all subsets of k of the n scores:
    sum_i C(n-i, k-1) / C(n, k) y_(i) (Tang et al. 2020, who show that drawing with
    replacement, as Dodge et al. 2019 do, is biased).

    Raises:
        ValueError: if k is not between 1 and n.
    """
    n = len(scores)
    if not 1 <= k <= n:
        raise ValueError(f"k must be between 1 and {n}, got {k}")
    ordered = np.sort(np.asarray(scores, dtype=float))[: n - k + 1]
    if not np.isfinite(ordered[-1]):
        return float(ordered[-1])
    return math.fsum(subset_weights(n, k) * ordered)


def subset_weights(n: int, k: int) -> NDArray[np.float64]:
    """Return how often each of n ordered values is the first of a subset of k.

    Returns:
        C(n-i, k-1) / C(n, k) for i from 1 to n - k + 1.
    """
    # Each weight from the one before: C(n-i-1, k-1) / C(n-i, k-1) = 1 - (k-1) / (n-i).
    ratios = 1 - (k - 1) / (n - np.arange(1.0, n - k + 1))
    return k / n * np.concatenate([[1.0], np.cumprod(ratios)])


def median_best_of(scores: Sequence[float], k: int) -> Median:
    """Return the median of the least of k fresh scores.

    It is the quantile q = 1 - 0.5^(1/k) of single scores. The number of scores below
    that quantile is binomial, so y_(l) and y_(u) enclose it with 95 % if
    P(Bin(n, q) < l) and P(Bin(n, q) >= u) are at most 2.5 %.
    """
    n = len(scores)
    q = -math.expm1(math.log(0.5) / k)
    ordered = sorted(scores)
    low, high = (int(count) for count in stats.binom.ppf([TAIL, 1 - TAIL], n, q))
    # The quantile is the least count whose probability reaches the tail, so of one
    # less it is below: that is the greatest rank l. For u it is one more.
    return Median(
        estimate=ordered[min(math.floor(q * n), n - 1)],
        low=ordered[low - 1] if low else None,
        high=ordered[high] if high < n else None,
    )

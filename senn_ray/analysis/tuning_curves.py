"""The best of k runs: what a budget of so many runs is expected to give.

``best_of`` is the unbiased expectation. Its interval is that of the *median* best of k,
which is a quantile of the distribution of single runs (the best of k is above x if all
k are): so it is exact, for any distribution, by counting (Clopper and Pearson on order
statistics). No such interval exists for the expectation, which depends on how good runs
may become that nobody has seen; where the data do not bound the median, an end is
missing. See Lourie et al. 2023, who argue for the median for the same reason.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from senn_ray.analysis.distributions import CONFIDENCE, binomial_quantiles


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

    Args:
        scores: Scores of exchangeable runs, n of them.
        k: Size of the subsets, at most n.

    Raises:
        ValueError: if k is not between 1 and n.
    """
    n = len(scores)
    if not 1 <= k <= n:
        raise ValueError(f"k must be between 1 and {n}, got {k}")
    ordered = np.sort(np.asarray(scores, dtype=float))[: n - k + 1]
    if not np.isfinite(ordered[-1]):
        return float(ordered[-1])
    # Each weight from the one before: C(n-i-1, k-1) / C(n-i, k-1) = 1 - (k-1) / (n-i).
    ratios = 1 - (k - 1) / (n - np.arange(1.0, len(ordered)))
    weights = k / n * np.concatenate([[1.0], np.cumprod(ratios)])
    return math.fsum(weights * ordered)


def median_best_of(scores: Sequence[float], k: int) -> Median:
    """Return the median of the least of k fresh scores.

    It is the quantile q = 1 - 0.5^(1/k) of single scores. The number of scores below
    that quantile is binomial, so y_(l) and y_(u) enclose it with 95 % if
    P(Bin(n, q) < l) and P(Bin(n, q) >= u) are at most 2.5 %.

    Args:
        scores: Scores of exchangeable runs, n of them.
        k: How many runs, at least one.
    """
    n, tail = len(scores), (1 - CONFIDENCE) / 2
    q = -math.expm1(math.log(0.5) / k)
    ordered = sorted(scores)
    low, high = binomial_quantiles((tail, 1 - tail), n, q)
    # The quantile is the least count whose probability reaches the tail, so of one
    # less it is below: that is the greatest rank l. For u it is one more.
    return Median(
        estimate=ordered[min(math.floor(q * n), n - 1)],
        low=ordered[low - 1] if low else None,
        high=ordered[high] if high < n else None,
    )

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from senn_ray.analysis.curves import best_of, curve, median_best_of
from senn_ray.analysis.statistics import Runs


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=7), st.data())
def test_best_of_k_is_the_mean_over_all_subsets(
    scores: list[float], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(scores)))
    brute = np.mean([min(subset) for subset in itertools.combinations(scores, k)])
    assert best_of(scores, k) == pytest.approx(brute, abs=1e-9)


def test_best_of_k_of_a_thousand_is_the_exact_sum() -> None:
    n = 1000
    scores = np.sort(np.random.default_rng(0).normal(size=n)).tolist()
    for k in (1, 2, 30, 500, 999, 1000):
        weights = [
            Fraction(math.comb(n - i, k - 1), math.comb(n, k))
            for i in range(1, n - k + 2)
        ]
        exact = sum(w * Fraction(y) for w, y in zip(weights, scores, strict=False))
        assert best_of(scores, k) == pytest.approx(float(exact), rel=1e-11)
    assert best_of([*scores, math.inf], 2) < 0
    assert best_of([*scores, math.inf], 1) == math.inf


@given(st.integers(1, 40), st.integers(1, 40))
def test_ranks_of_the_median_best_are_those_of_the_definition(n: int, k: int) -> None:
    found = median_best_of([float(rank) for rank in range(1, n + 1)], k)
    q = 1 - 0.5 ** (1 / k)
    lows = [r for r in range(1, n + 1) if stats.binom.cdf(r - 1, n, q) <= 0.025]
    highs = [r for r in range(1, n + 1) if stats.binom.sf(r - 1, n, q) <= 0.025]
    assert found.low == (max(lows) if lows else None)
    assert found.high == (min(highs) if highs else None)


@pytest.mark.parametrize("k", [0, 4])
def test_best_of_more_than_there_are_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 3"):
        best_of([1.0, 2.0, 3.0], k)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.integers(1, 30))
def test_the_interval_of_the_median_best_contains_its_estimate(
    scores: list[float], k: int
) -> None:
    found = median_best_of(scores, k)
    assert found.low is None or found.low <= found.estimate
    assert found.high is None or found.estimate <= found.high


@pytest.mark.parametrize(("count", "k"), [(16, 1), (16, 4), (40, 3), (40, 10)])
def test_the_interval_of_the_median_best_covers_it(count: int, k: int) -> None:
    """Losses are exponential: the best of k has the median log(2) / k."""
    rng = np.random.default_rng(count + k)
    truth, covered = math.log(2) / k, 0
    for losses in rng.exponential(size=(600, count)):
        found = median_best_of(losses.tolist(), k)
        low = -math.inf if found.low is None else found.low
        high = math.inf if found.high is None else found.high
        covered += low <= truth <= high
    # Exact, so at least 0.95; 2.5 standard errors below.
    assert covered / 600 >= 0.93


def test_few_runs_do_not_bound_the_best_of_many() -> None:
    found = median_best_of([0.1, 0.2, 0.3, 0.4], 4)
    assert found.low is None
    assert found.high is not None


def runs(losses: list[float]) -> Runs:
    return Runs(
        losses=np.array(losses),
        params=np.ones(len(losses)),
        costs=np.ones((len(losses), 1)),
    )


def test_curves_of_studies_have_the_interval_of_their_mean() -> None:
    studies = [runs([0.5, 0.4]), runs([0.3, 0.6])]
    first, second = curve(studies, ("runs",), adaptive=True)
    assert (first.val_loss, second.val_loss) == pytest.approx((0.4, 0.35))
    assert (first.low or 1) < 0.4 < (first.high or 0)
    assert second.cost == {"runs": 2.0}
    failed = curve([runs([math.inf]), runs([0.3])], ("runs",), adaptive=True)
    assert (failed[0].low, failed[0].high) == (None, None)

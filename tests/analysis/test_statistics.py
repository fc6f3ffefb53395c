import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from senn_ray.analysis.statistics import (
    Reached,
    Runs,
    clopper_pearson,
    cost_to_hit,
    geometric_median,
    least_searches,
    mean_interval,
    mean_upper,
    median_runs,
    reach,
)


def search(losses: list[float], params: list[float], device_s: float = 1.0) -> Runs:
    count = len(losses)
    costs = np.stack([np.ones(count), np.full(count, device_s)], axis=1)
    return Runs(losses=np.array(losses), params=np.array(params), costs=costs)


def trials(hits: list[bool], device_s: float = 1.0) -> Reached:
    singles = [search([0.0 if hit else 1.0], [1.0], device_s) for hit in hits]
    return reach(singles, 0.5, math.inf)


def test_a_search_pays_until_its_first_hit_and_no_further() -> None:
    found = reach([search([0.9, 0.4, 0.3], [1, 1, 1], 5.0)], 0.5, math.inf)
    assert found.hits.tolist() == [True]
    assert found.costs.tolist() == [[2.0, 10.0]]


def test_a_search_without_a_hit_pays_for_everything() -> None:
    found = reach([search([0.9, math.inf], [1, 1])], 0.5, math.inf)
    assert not found.hits.any()
    assert found.costs[0, 0] == 2


def test_a_hit_must_be_small_enough_too() -> None:
    found = reach([search([0.1, 0.4, 0.2], [99, 10, 99])], 0.5, 10)
    assert found.costs[0, 0] == 2


DRAWS = 200


@pytest.mark.parametrize(
    ("count", "bound"), [(16, 5.9), (32, 11.2), (64, 21.9), (128, 43.2), (256, 86.0)]
)
def test_no_hit_gives_the_exact_one_sided_bound(count: int, bound: float) -> None:
    assert least_searches(count) == pytest.approx(bound, abs=0.05)
    (runs, seconds) = cost_to_hit(trials([False] * count, 3.0), adaptive=False)
    assert runs.bound
    assert (runs.estimate, runs.high) == (None, None)
    assert runs.low == pytest.approx(bound, abs=0.05)
    assert seconds.low == pytest.approx(3 * least_searches(count))


@pytest.mark.parametrize(
    ("hits", "low", "high"),
    [(1, 2.2, 396), (3, 3.8, 47), (8, 5.3, 22.6), (20, 6.7, 16.1)],
)
def test_runs_to_a_hit_match_the_planning_table(
    hits: int, low: float, high: float
) -> None:
    found = cost_to_hit(trials([True] * hits + [False] * 9 * hits), adaptive=False)[0]
    assert found.estimate == pytest.approx(10)
    assert found.low == pytest.approx(low, rel=0.03)
    assert found.high == pytest.approx(high, rel=0.03)


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_exact_intervals_contain_the_estimate_and_invert_the_test(
    counts: tuple[int, int],
) -> None:
    hits, count = counts
    low, high = clopper_pearson(hits, count)
    assert 0 <= low <= hits / count <= high <= 1
    if hits:
        assert stats.binom.sf(hits - 1, count, low) == pytest.approx(0.025, rel=1e-6)


def test_the_exact_interval_also_covers_when_hits_stop_the_trials() -> None:
    probability = 0.15
    counts = 4 + np.random.default_rng(0).negative_binomial(4, probability, size=2000)
    ends = {count: clopper_pearson(4, count) for count in set(counts.tolist())}
    covered = [ends[n][0] <= probability <= ends[n][1] for n in counts.tolist()]
    assert np.mean(covered) >= 0.95


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert mean_interval([0.3, 0.3, 0.3]) == (0.3, 0.3)
    assert mean_upper([0.3, 0.3, 0.3]) == pytest.approx(0.3)


def test_studies_are_resampled_whole() -> None:
    # 2 studies hit after 1 and 9 runs: anything between is possible, and beyond.
    parts = [search([0.1], [1]), search([0.9] * 8 + [0.1], [1] * 9)]
    found = cost_to_hit(reach(parts, 0.5, math.inf), adaptive=True)[0]
    assert found.estimate == pytest.approx(5)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 1.5
    assert found.high > 9


def test_intervals_of_means_are_students() -> None:
    values = [1.0, 2.0, 4.0]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((expected.low, expected.high))
    upper = stats.ttest_1samp(values, 0, alternative="less").confidence_interval(0.95)
    assert mean_upper(values) == pytest.approx(upper.high)


def test_the_median_of_studies_respects_censoring() -> None:
    def median(runs: list[int], hits: list[bool]) -> float | None:
        return median_runs(runs, hits).estimate

    assert median([2, 4, 6, 8], [True] * 4) == 4
    # At 2: 3/4. At 6, two at risk: 3/8. The study censored at 4 counts until then.
    assert median([2, 4, 6, 8], [True, False, True, False]) == 6
    assert median([2, 8, 8, 8], [True, False, False, False]) is None
    assert median([8, 8], [False, False]) is None


@pytest.mark.slow
@pytest.mark.parametrize("studies", [4, 8, 20])
def test_the_interval_of_the_median_covers_it(studies: int) -> None:
    """Runs to a hit are geometric with median 4, studies end at 8 runs."""
    rng = np.random.default_rng(studies)
    covered = 0
    for drawn in rng.geometric(1 - 0.5**0.25, size=(DRAWS, studies)):
        used = np.minimum(drawn, 8)
        found = median_runs(used.tolist(), (drawn <= 8).tolist())
        high = math.inf if found.high is None else found.high
        covered += (found.low or math.inf) <= 4 <= high
    assert covered / DRAWS >= 0.92


def test_the_median_of_independent_trials_is_geometric() -> None:
    assert geometric_median(0.25) == 3
    assert 1 - 0.75**3 >= 0.5 > 1 - 0.75**2
    assert geometric_median(0.0) is None
    assert geometric_median(1.0) == geometric_median(0.5) == 1

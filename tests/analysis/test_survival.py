import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from senn_ray.analysis.survival import geometric_median, median_runs, waiting

searches_of = st.lists(
    st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=12
)


@given(searches_of)
def test_the_curve_is_that_of_kaplan_and_meier(ends: list[tuple[int, bool]]) -> None:
    runs, hits = [e for e, _ in ends], [hit for _, hit in ends]
    data = stats.CensoredData.right_censored(runs, [not hit for hit in hits])
    theirs = stats.ecdf(data).sf
    for point in waiting(runs, hits):
        assert point.chance == pytest.approx(theirs.evaluate(point.runs), abs=1e-12)
        assert point.low <= point.chance <= point.high


def test_the_median_of_studies_respects_censoring() -> None:
    def median(runs: list[int], hits: list[bool]) -> float | None:
        return median_runs(runs, hits).estimate

    assert median([2, 4, 6, 8], [True] * 4) == 4
    # At 2: 3/4. At 6, two at risk: 3/8. The study censored at 4 counts until then.
    assert median([2, 4, 6, 8], [True, False, True, False]) == 6
    assert median([2, 8, 8, 8], [True, False, False, False]) is None
    assert median([8, 8], [False, False]) is None


@pytest.mark.parametrize("studies", [4, 8, 20])
def test_the_interval_of_the_median_covers_it(studies: int) -> None:
    """Runs to a hit are geometric with median 4, studies end at 8 runs."""
    rng = np.random.default_rng(studies)
    covered = 0
    for drawn in rng.geometric(1 - 0.5**0.25, size=(500, studies)):
        used = np.minimum(drawn, 8)
        found = median_runs(used.tolist(), (drawn <= 8).tolist())
        high = math.inf if found.high is None else found.high
        covered += (found.low or math.inf) <= 4 <= high
    assert covered / 500 >= 0.93


def test_the_median_of_independent_trials_is_geometric() -> None:
    assert geometric_median(0.25) == 3
    assert 1 - 0.75**3 >= 0.5 > 1 - 0.75**2
    assert geometric_median(0.0) is None
    assert geometric_median(1.0) == geometric_median(0.5) == 1

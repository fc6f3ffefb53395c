import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from senn_ray.analysis.job import gather
from senn_ray.analysis.results import Cell
from senn_ray.analysis.scan import scan_cells, scan_fit
from senn_ray.analysis.statistics import (
    jackknife_interval,
    mean_interval,
    rank_correlation,
)
from senn_ray.analysis.trend import Point, forms, log_log_trend, trend
from tests.analysis.test_scan import EVENTS as SCAN

SIZES = (10, 30, 100, 300, 1000, 3000)


def line(subset: int, *, start: float, slope: float) -> list[Point]:
    return [
        Point(examples=n, width=start + slope * np.log10(n), subset=subset)
        for n in SIZES
    ]


def test_a_line_is_found_with_the_interval_of_the_subset_slopes() -> None:
    slopes = [9.0, 10.0, 12.0]
    points = [p for i, b in enumerate(slopes) for p in line(i, start=2.0, slope=b)]
    found = trend(points)
    assert found.slope == pytest.approx(np.mean(slopes))
    low, high = mean_interval(slopes)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_a_power_law_is_a_line_of_logarithms() -> None:
    points = [
        Point(examples=n, width=3 * n**0.25, subset=s) for n in SIZES for s in (0, 1)
    ]
    found = log_log_trend(points)
    assert found.slope == pytest.approx(0.25)
    assert found.low == pytest.approx(0.25, abs=1e-6)


def test_one_subset_seed_gives_no_interval() -> None:
    found = trend(line(0, start=1.0, slope=5.0))
    assert found.slope == pytest.approx(5.0)
    assert (found.low, found.high) == (None, None)


def test_an_interval_needs_two_sizes_without_any_subset_seed() -> None:
    points = [Point(examples=10, width=4, subset=s) for s in (0, 1)]
    points.append(Point(examples=100, width=8, subset=0))
    found = trend(points)
    assert found.slope == pytest.approx(4.0)
    assert found.low is None


def test_widths_that_never_change_have_no_ranks() -> None:
    found = trend(line(0, start=4.0, slope=0.0) + line(1, start=4.0, slope=0.0))
    assert found.slope == pytest.approx(0.0)
    assert rank_correlation([1.0, 2.0], [4.0, 4.0]) is None


def test_ranks_are_those_of_scipy_ties_included() -> None:
    x, y = [1.0, 1.0, 2.0, 3.0, 5.0], [2.0, 1.0, 2.0, 7.0, 4.0]
    expected, _ = stats.spearmanr(x, y)
    assert rank_correlation(x, y) == pytest.approx(expected)


def test_the_jackknife_of_a_mean_is_the_interval_of_the_mean() -> None:
    values = np.array([3.0, 4.5, 9.0, 1.0])
    without = [float(np.delete(values, i).mean()) for i in range(4)]
    assert jackknife_interval(float(values.mean()), without) == pytest.approx(
        mean_interval(values.tolist())
    )


@pytest.mark.parametrize("subsets", [3, 5])
def test_intervals_cover_the_truth_although_subsets_share_their_luck(
    subsets: int,
) -> None:
    rng, covered, scans = np.random.default_rng(0), 0, 600
    for _ in range(scans):
        tilt = rng.normal(10.0, 1.0, subsets)  # Each subset seed has its own slope,
        luck = rng.normal(0.0, 2.0, subsets)  # and its own level.
        points = [
            Point(examples=n, width=b * np.log10(n) + rng.normal(a, 2), subset=s)
            for s, (a, b) in enumerate(zip(luck, tilt, strict=True))
            for n in SIZES
        ]
        found = trend(points)
        covered += (found.low or math.inf) <= 10.0 <= (found.high or -math.inf)
    assert covered / scans >= 0.93


def test_a_straight_line_is_rejected_as_often_as_said() -> None:
    rng, rejected, scans = np.random.default_rng(1), 0, 1000
    for _ in range(scans):
        points = [
            Point(examples=n, width=10 * np.log10(n) + rng.normal(0, 2), subset=s)
            for s in range(3)
            for n in SIZES
        ]
        rejected += (trend(points).straight_p or 0.0) < 0.05
    assert 0.03 <= rejected / scans <= 0.07


def test_a_bent_trend_is_told_from_a_straight_one() -> None:
    points = [
        Point(examples=n, width=3 * n**0.3 * (1 + 0.02 * s), subset=s)
        for s in range(3)
        for n in SIZES
    ]
    assert (trend(points).straight_p or 1.0) < 0.001
    assert (log_log_trend(points).straight_p or 0.0) > 0.5


def test_without_repetitions_nothing_is_said_of_straightness() -> None:
    assert trend(line(0, start=1.0, slope=5.0)).straight_p is None


def cells(law, *, spread: float = 0.05, seed: int = 0) -> list[Point]:
    rng = np.random.default_rng(seed)
    return [
        Point(examples=n, width=law(n) * math.exp(rng.normal(0, spread)), subset=s)
        for n in SIZES
        for s in range(3)
    ]


def power_law(n: float) -> float:
    return 3 * n**0.3


def saturating(n: float) -> float:
    return 60 / (1 + 150 / n)


@pytest.mark.parametrize("law", [power_law, saturating])
def test_the_form_that_made_the_widths_is_chosen(law) -> None:
    for seed in range(5):
        found = forms(cells(law, seed=seed))
        assert found is not None
        assert found.chosen == law.__name__
        assert found.weight > 0.99


def test_the_parameters_are_recovered() -> None:
    found = forms(cells(saturating, spread=0.01))
    assert found is not None
    assert found.saturating.limit == pytest.approx(60, rel=0.03)
    assert found.saturating.half == pytest.approx(150, rel=0.05)
    found = forms(cells(power_law, spread=1e-9))
    assert found is not None
    assert found.power_law.exponent == pytest.approx(0.3)
    assert found.power_law.at_one == pytest.approx(3)


def test_noise_alone_gives_no_strong_opinion() -> None:
    drawn = (forms(cells(lambda _: 20.0, spread=0.3, seed=n)) for n in range(40))
    weights = [found.weight for found in drawn if found]
    assert float(np.median(weights)) < 0.9


def test_the_criterion_is_that_of_hurvich_and_tsai() -> None:
    points = cells(power_law)
    x, y = np.log([p.examples for p in points]), np.log([p.width for p in points])
    rss = float(np.polyfit(x, y, 1, full=True)[1][0])
    expected = 18 * math.log(rss / 18) + 6 + 24 / 14
    found = forms(points)
    assert found is not None
    assert found.power_law.aicc == pytest.approx(expected)


def test_too_few_cells_choose_nothing() -> None:
    assert forms(cells(power_law)[:4]) is None


def as_cells(points: list[Point]) -> list[Cell]:
    """Make converged cells of points; their other values play no part in a fit."""
    cell = scan_cells(gather(SCAN))[0]
    return [
        dataclasses.replace(
            cell,
            examples_per_class=p.examples,
            hidden_total=p.width,
            hidden=(int(p.width),),
            hidden_start=(2,),
            subset_seed=p.subset,
            converged=True,
        )
        for p in points
    ]


def test_a_law_does_not_care_about_the_ends_and_a_bent_trend_does() -> None:
    straight = scan_fit(as_cells(cells(power_law, spread=0.001)))
    exponents = [row.exponent for row in straight.sensitivity]
    assert [row.without for row in straight.sensitivity] == [10, 3000]
    assert exponents == pytest.approx([0.3, 0.3], abs=0.005)
    bent = scan_fit(as_cells(cells(saturating, spread=0.001)))
    least, most = (row.exponent for row in bent.sensitivity)
    assert least is not None
    assert most is not None
    assert least < (bent.log_log.slope or 0.0) - 0.05
    assert most > (bent.log_log.slope or 0.0) + 0.05
    assert scan_fit(as_cells(cells(power_law))[:9]).sensitivity == ()

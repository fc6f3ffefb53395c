import math

import numpy as np
import pytest

from senn_ray.analysis.scan import scan_fit
from senn_ray.analysis.trend import Point
from senn_ray.analysis.trend_models import forms

SIZES = (10, 30, 100, 300, 1000, 3000)


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
        assert found["chosen"] == law.__name__
        assert found["weight"] > 0.99


def test_the_parameters_are_recovered() -> None:
    found = forms(cells(saturating, spread=0.01))
    assert found is not None
    assert found["saturating"]["limit"] == pytest.approx(60, rel=0.03)
    assert found["saturating"]["half"] == pytest.approx(150, rel=0.05)
    found = forms(cells(power_law, spread=1e-9))
    assert found is not None
    assert found["power_law"]["exponent"] == pytest.approx(0.3)
    assert found["power_law"]["at_one"] == pytest.approx(3)


def test_noise_alone_gives_no_strong_opinion() -> None:
    weights = [
        (forms(cells(lambda _: 20.0, spread=0.3, seed=seed)) or {})["weight"]
        for seed in range(40)
    ]
    assert float(np.median(weights)) < 0.9


def test_the_criterion_is_that_of_hurvich_and_tsai() -> None:
    points = cells(power_law)
    x, y = np.log([p.examples for p in points]), np.log([p.width for p in points])
    rss = float(np.polyfit(x, y, 1, full=True)[1][0])
    expected = 18 * math.log(rss / 18) + 6 + 24 / 14
    found = forms(points)
    assert found is not None
    assert found["power_law"]["aicc"] == pytest.approx(expected)


def test_too_few_cells_choose_nothing() -> None:
    assert forms(cells(power_law)[:4]) is None


def as_cells(points: list[Point]) -> list[dict[str, object]]:
    return [
        {
            "examples_per_class": p.examples,
            "hidden_total": p.width,
            "hidden": [int(p.width)],
            "hidden_start": [2],
            "subset_seed": p.subset,
            "converged": True,
        }
        for p in points
    ]


def test_a_law_does_not_care_about_the_ends_and_a_bent_trend_does() -> None:
    straight = scan_fit(as_cells(cells(power_law, spread=0.001)))
    exponents = [row["exponent"] for row in straight["sensitivity"]]
    assert [row["without"] for row in straight["sensitivity"]] == [10, 3000]
    assert exponents == pytest.approx([0.3, 0.3], abs=0.005)
    bent = scan_fit(as_cells(cells(saturating, spread=0.001)))
    least, most = (row["exponent"] for row in bent["sensitivity"])
    assert least < bent["log_log"]["slope"] - 0.05
    assert most > bent["log_log"]["slope"] + 0.05
    assert scan_fit(as_cells(cells(power_law))[:9])["sensitivity"] == []

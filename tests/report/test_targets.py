"""What is said of the targets: all currencies, winners on test data, every target."""

from typing import Any

import pytest

from senn_ray.analysis.results import Interval
from senn_ray.report import compare_figures, detail, formatting, view
from senn_ray.report.drawing import BAND, Figure
from senn_ray.report.table import Table
from senn_ray.report.target_figures import over_targets
from senn_ray.search.targets import CURRENCIES, TargetName
from tests.analysis.summaries import compared
from tests.analysis.test_summary import RESULT, job_events


def _table(tables: list[Table], title: str) -> list[dict[str, str]]:
    found = next(table for table in tables if table.title.startswith(title))
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def _rows(figure: Figure | None) -> list[dict[str, Any]]:
    assert figure is not None
    return [dict(zip(figure.columns, row, strict=True)) for row in figure.rows]


@pytest.mark.parametrize(
    ("title", "name"),
    [("Quality: the cost", "quality"), ("Quality at size: the", "quality_at_size")],
)
def test_the_table_of_a_target_has_every_currency_of_the_verdict(
    title: str, name: TargetName
) -> None:
    columns = ("runs ×", "steps ×", "sample visits ×", "FLOPs ×", "device seconds ×")
    for row in _table(view.verdict_tables(RESULT), title):
        rates = RESULT.exchange_rate[name][row["arm"]]
        for column, currency in zip(columns, CURRENCIES, strict=True):
            assert row[column] == formatting.interval(rates.get(currency))


def test_winners_trained_again_are_told_with_test_values_and_intervals() -> None:
    rows = _table(view.verdict_tables(RESULT), "Winners trained again")
    assert len(rows) == len(RESULT.retrained)
    assert [row["arm"] for row in rows[:2]] == [
        "senn",
        "plain, same width",
    ]
    once = next(row for row in rows if row["arm"] == "max_once")
    assert once["best for"] == "quality"
    known = RESULT.confirmed["max_once"]["quality"]
    assert known is not None
    assert once["test loss"].startswith(f"{formatting.number(known.test_loss)} [")
    assert once["test accuracy"] == "90.00% [90.00%, 90.00%]"


def test_values_of_one_seed_have_no_interval() -> None:
    single = Interval(estimate=0.1234, low=None, high=None)
    assert formatting.precise(single) == "0.1234"
    pair = Interval(estimate=0.1234, low=0.1, high=0.2)
    assert formatting.precise(pair) == "0.1234 [0.1000, 0.2000]"
    assert formatting.precise(None) == formatting.UNKNOWN


def test_the_best_so_far_has_its_interval_as_a_band_and_as_data() -> None:
    figure = compare_figures.best_so_far(RESULT)
    rows = _rows(figure)
    points = [(arm, p) for arm, curve in RESULT.curves.items() for p in curve]
    for row, (arm, point) in zip(rows, points, strict=True):
        assert row["arm"] == arm
        for name in ("runs", "val_loss", "median", "low", "high"):
            assert row[name] == getattr(point, name)
    assert any(row["low"] is not None for row in rows)
    assert figure is not None
    assert f'fill-opacity: {BAND}"' in figure.svg
    assert "95 % intervals" in figure.caption


def test_the_figure_over_targets_marks_the_headline_and_draws_bounds() -> None:
    figure = over_targets(RESULT.over_targets)
    rows = _rows(figure)
    arms = RESULT.over_targets["quality"].arms
    assert {row["arm"] for row in rows} == set(arms)
    assert {row["target"] for row in rows} == {"quality", "quality_at_size"}
    assert any(row["bound"] for row in rows)
    assert figure is not None
    assert "headline target" in figure.svg
    assert over_targets({}) is None


def test_what_arms_reach_that_never_hit_is_a_table() -> None:
    behind = compared(job_events(senn={"val_loss": 0.01}))
    rows = _table(detail.closer_tables(behind), "What arms reach that never hit")
    known = behind.over_targets["quality"].reached
    told = {row["arm"]: row for row in rows if row["target"] == "Quality"}
    assert set(told) == set(known) > {"random"}
    for arm, row in known.items():
        assert told[arm]["best loss"] == formatting.number(row.val_loss)
        assert told[arm]["runs to it"] == formatting.interval(row.runs)
        assert told[arm]["of self-expanding runs"] == formatting.interval(row.senn)

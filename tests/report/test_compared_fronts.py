"""Fronts on page and console: the numbers are those of the summary."""

import dataclasses

import pytest

from senn_ray.analysis.results import CompareSummary
from senn_ray.cli.chart import picture
from senn_ray.report.answer import answer
from senn_ray.report.compared_fronts import fronts
from senn_ray.report.front_tables import front_tables, rung_table
from senn_ray.report.view import verdict_tables
from tests.analysis.test_front_summary import FRONTS, summary_at
from tests.analysis.test_summary import RESULT

SUMMARY = summary_at(0.0)


def test_the_figure_shows_every_front_and_every_hypervolume() -> None:
    drawn = fronts(FRONTS)
    assert drawn is not None
    rows = [dict(zip(drawn.columns, row, strict=True)) for row in drawn.rows]
    for arm, points in FRONTS.arms.items():
        own = [r for r in rows if (r["panel"], r["arm"]) == ("front", arm)]
        assert [r["val_loss"] for r in own] == [point.val_loss for point in points]
        assert [r["params"] for r in own] == [point.params for point in points]
    for arm, volume in FRONTS.hypervolume.items():
        own = [r for r in rows if (r["panel"], r["arm"]) == ("hypervolume", arm)]
        assert [r["hypervolume"] for r in own] == [p.hypervolume for p in volume.curve]
    assert "wide_prune" in drawn.svg


def test_tables_have_every_arm_and_every_rung() -> None:
    whole, against = front_tables(FRONTS)
    assert [row[0] for row in whole.rows] == list(FRONTS.arms)
    assert [row[0] for row in against.rows] == ["wide_prune", "wide_magnitude"]
    rungs = rung_table(FRONTS)
    assert [row[1] for row in rungs.rows] == [str(r.params) for r in FRONTS.rungs]
    titles = [table.title for table in verdict_tables(SUMMARY)]
    assert {whole.title, against.title} < set(titles)


def test_the_answer_says_what_a_whole_front_takes() -> None:
    (said,) = (line for line in answer(SUMMARY) if "whole front" in line)
    for arm in FRONTS.hypervolume:
        assert arm in said or arm == "senn"


def test_growing_runs_of_one_size_have_no_front_to_show() -> None:
    assert RESULT.fronts is not None
    assert fronts(RESULT.fronts) is None
    assert front_tables(RESULT.fronts) == []
    assert rung_table(RESULT.fronts).rows == ()
    assert not any("whole front" in line for line in answer(RESULT))


@pytest.mark.parametrize(
    "summary", [SUMMARY, dataclasses.replace(SUMMARY, fronts=None)]
)
def test_the_picture_shows_what_there_is_of_fronts(summary: CompareSummary) -> None:
    drawn = picture(summary)
    assert drawn is not None
    assert ("+ wide_prune" in drawn.plain) == (summary.fronts is not None)
    assert "● growing" in drawn.plain

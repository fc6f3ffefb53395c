"""The front in words, rows and figures: what sizes cost in loss."""

import csv
import io
from dataclasses import replace

import pytest

from senn_ray.analysis.summary import run_summary
from senn_ray.report import front_figures
from senn_ray.report.fronts import about_front, middle, rungs_table
from senn_ray.report.page import _as_csv
from tests.analysis.fronts import BEST, FRONT, ONE_SE, walked
from tests.search.executor_suite import make_record, make_spec

RUN = run_summary(walked())


def test_the_best_half_and_quarter_of_the_found_size_are_told_with_their_loss() -> None:
    (said,) = about_front(RUN, several=False)
    assert "went down from 64 units to 8 and left 5 networks" in said
    assert "The least loss is 0.1000, with 45 units (3385 parameters)" in said
    assert "the found network is 0.0020 ± 0.0030 above it" in said
    assert "at most half of its parameters (8 units), 0.1000 ± 0.0100" in said


def test_a_front_of_one_network_is_not_worth_a_sentence() -> None:
    one = replace(walked(), front=FRONT[ONE_SE : ONE_SE + 1], found=0)
    assert about_front(run_summary(one), several=False) == []


def test_rows_mark_what_the_rules_choose() -> None:
    table = rungs_table(RUN, several=False)
    assert [row[-1] for row in table.rows] == ["", "best", "one_se", "", ""]
    assert [row[2] for row in table.rows] == [str(rung.params) for rung in FRONT]
    assert table.rows[BEST][5] == "–"
    assert table.rows[0][5] == "+0.0050 ± 0.0020"


def test_of_several_runs_the_one_of_median_loss_stands_for_all() -> None:
    runs = [run_summary(walked(f"senn-0-{n}", loss=n)) for n in (3, 1, 2)]
    chosen = middle(runs)
    assert chosen is not None
    assert chosen.run_id == "senn-0-2"
    assert middle([]) is None


@pytest.mark.parametrize("draw", [front_figures.fronts, front_figures.fronts_by_size])
def test_the_figure_has_every_network_and_plain_ones_beside_them(draw) -> None:
    plain = replace(
        make_record(make_spec("grid-8-000", width=8, arm="grid")), per_class="all"
    )
    figure = draw([walked(), plain])
    rows = list(csv.DictReader(io.StringIO(_as_csv(figure))))
    assert [row["params"] for row in rows[:5]] == [str(r.params) for r in FRONT]
    assert [row["found"] for row in rows[:5]].index("True") == ONE_SE
    assert [row["best"] for row in rows[:5]].index("True") == BEST
    assert rows[5]["arm"] == "grid"
    assert "Squares: plain networks" in figure.caption
    assert figure.svg.count("<svg") == 1


def test_without_a_front_there_is_no_figure() -> None:
    assert front_figures.fronts([replace(walked(), front=(), found=None)]) is None

import re
from collections.abc import Mapping
from typing import Any

import pytest

from senn_ray.analysis.summary import summarise
from senn_ray.report import detail, formatting, view, waiting_figures
from senn_ray.report.table import Table
from tests.analysis.test_summary import SUMMARY as COMPARED
from tests.analysis.test_summary import job_events
from tests.report.test_scan_figure import SUMMARY as SCANNED
from tests.search.fakes import make_config

GROWN = summarise(job_events("grow"))
PAIRED = summarise(
    job_events(config=make_config(arms=("random", "no_growth_at_final", "gradmax")))
)


def table(summary: Mapping[str, Any], title: str) -> list[dict[str, str]]:
    """Give the rows of a table by the names of their columns."""
    every = [*detail.cost_tables(summary), *detail.closer_tables(summary)]
    found = next(t for t in every if t.title.startswith(title))
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


@pytest.mark.parametrize("summary", [COMPARED, SCANNED, GROWN])
def test_every_verb_tells_what_was_spent_and_the_rows_add_up(summary) -> None:
    rows = table(summary, "What was spent")
    assert rows[-1]["arm"] == "total"
    assert sum(int(row["runs"]) for row in rows[:-1]) == int(rows[-1]["runs"])
    assert {row["arm"] for row in rows} == set(summary["ledger"])


def test_what_lost_workers_used_is_told_apart() -> None:
    ledger = {arm: dict(row) for arm, row in COMPARED["ledger"].items()}
    ledger["total"] |= {"wasted_device_s": 90.0, "failed": 3}
    row = table({**COMPARED, "ledger": ledger}, "What was spent")[-1]
    assert (row["wasted"], row["not complete"]) == ("1.5 min", "3")
    assert "wasted 1.5 min" in (formatting.spent(ledger) or "")
    assert "wasted" not in (formatting.spent(COMPARED["ledger"]) or "")


def test_times_to_a_hit_shrink_with_workers_and_are_unknown_without_a_hit() -> None:
    rows = {r["arm"]: r for r in table(COMPARED, "Quality at size: time to a hit")}
    assert rows["max_once"]["1"] == rows["max_once"]["64"] == formatting.UNKNOWN
    lengths = [
        float(re.findall(r"\((.*)\)", rows["random"][width])[0])
        for width in ("1", "4", "16", "64")
    ]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > lengths[-1] >= 1


def test_pairs_are_told_with_their_interval_and_sign() -> None:
    rows = {row["arm"]: row for row in table(PAIRED, "Seed by seed")}
    assert set(rows) == set(detail.PAIRED.values())
    for arm, row in PAIRED["paired"].items():
        said = rows[detail.PAIRED[arm]]
        assert said["pairs"] == str(row["pairs"])
        assert said["validation loss, difference"].startswith(f"{row['excess']:.2g} [")


def test_the_reference_of_no_effect_stands_below_the_arms() -> None:
    rows = table(COMPARED, "Runs until an arm")
    assert [row["arm"] for row in rows] == [*COMPARED["beaten"], "two identical arms"]
    curve = next(iter(COMPARED["beaten"].values()))["curve"]
    chances = [(p["runs"], p["no_effect"]) for p in curve]
    expected = [
        str(next(k for k, chance in chances if chance <= q)) for q in (0.75, 0.5, 0.25)
    ]
    assert [rows[-1][name] for name in detail.QUARTERS] == expected


def test_other_ranges_are_told_for_both_targets() -> None:
    rows = table(COMPARED, "Random search with other ranges")
    told = [(row["target"], row["widths up to"], row["hits"]) for row in rows]
    known = [
        (name, str(row["highest"]), str(row["hits"]))
        for name, found in COMPARED["range_sensitivity"].items()
        for row in found
    ]
    assert [row[1:] for row in told] == [row[1:] for row in known]
    assert {row[0] for row in told} == {"Quality", "Quality at size"}


def test_a_scan_shows_both_forms_and_what_the_ends_do() -> None:
    forms = table(SCANNED, "Which form")
    assert [row["form"] for row in forms] == ["power law", "levels off"]
    assert sum(int(row["weight"].rstrip("%")) for row in forms) in {99, 100, 101}
    ends = table(SCANNED, "The trend without")
    assert len(ends) == len(SCANNED["fit"]["sensitivity"]) > 0


@pytest.mark.parametrize(
    ("chosen", "weight", "said"),
    [
        ("saturating", 0.97, "a form that levels off at 50 units fits better"),
        ("power_law", 0.97, "a power law fits better"),
        ("power_law", 0.6, "too close to tell"),
    ],
)
def test_the_form_of_a_trend_is_one_sentence(chosen, weight, said) -> None:
    found = {"chosen": chosen, "weight": weight, "saturating": {"limit": 50.0}}
    sentence = formatting.form({"forms": found})
    assert sentence is not None
    assert said in sentence
    assert formatting.form({"forms": None}) is None


def test_what_is_not_known_has_no_table() -> None:
    empty: dict[str, Any] = {"verb": "compare", "arms": {}, "ledger": {}}
    assert detail.cost_tables(empty) == detail.closer_tables(empty) == []


def test_tables_are_rectangular_and_say_how_to_read_them() -> None:
    for summary in (COMPARED, PAIRED, SCANNED, GROWN):
        for found in [*detail.cost_tables(summary), *detail.closer_tables(summary)]:
            assert isinstance(found, Table)
            assert {len(row) for row in found.rows} == {len(found.columns)}
            assert found.note


def test_waiting_starts_at_certainty_and_its_data_have_intervals() -> None:
    figure = waiting_figures.waiting(COMPARED)
    assert figure is not None
    rows = [dict(zip(figure.columns, row, strict=True)) for row in figure.rows]
    assert {row["target"] for row in rows} == {"quality", "quality_at_size"}
    assert all(0 <= r["low"] <= r["chance"] <= r["high"] <= 1 for r in rows)
    random = [r["chance"] for r in rows if r["arm"] == "random"]
    assert len(random) == sum(
        len(arms["random"]["waiting"]) for arms in COMPARED["arms"].values()
    )


def test_the_figure_of_beaten_runs_holds_the_reference() -> None:
    figure = waiting_figures.beaten(COMPARED)
    assert figure is not None
    for _, runs, _, no_effect in figure.rows:
        assert no_effect == 1 / (runs + 1)
    assert "two identical arms" in figure.svg


def test_before_opponents_have_runs_there_are_no_figures() -> None:
    nothing: dict[str, Any] = {"arms": {"quality": {}}, "beaten": {}}
    assert waiting_figures.waiting(nothing) is None
    assert waiting_figures.beaten(nothing) is None


def test_a_regression_has_no_accuracy_and_says_what_its_loss_means() -> None:
    (said,) = view.headline({**GROWN, "test_accuracy": None})
    assert "accuracy" not in said
    assert "no better than their mean" in said
    (said,) = view.headline({**GROWN, "test_accuracy": 0.5, "test_loss": 1.0})
    assert "test accuracy 50.00%, test loss 1" in said
    assert "mean" not in said


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (999.6, "1 k"), (12345, "12.3 k"), (2.5e13, "25 T")],
)
def test_large_numbers_have_units(value, text) -> None:
    assert formatting.count(value) == text

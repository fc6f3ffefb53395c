import dataclasses

import pytest

from senn_ray.analysis.results import Forms, PowerLaw, Saturating, Summary
from senn_ray.analysis.summary import summarise
from senn_ray.report import detail, formatting
from senn_ray.report.answer import answer
from senn_ray.report.table import Table
from tests.analysis.summaries import compared, grown
from tests.analysis.test_summary import RESULT as COMPARED
from tests.analysis.test_summary import job_events
from tests.report.test_scan_figure import SUMMARY as SCANNED
from tests.search.fakes import make_config

GROWN = grown(job_events("grow"))
PAIRED = compared(
    job_events(config=make_config(arms=("random", "no_growth_at_final", "gradmax")))
)


def table(summary: Summary, title: str) -> list[dict[str, str]]:
    """Give the rows of a table by the names of their columns."""
    every = [*detail.cost_tables(summary), *detail.closer_tables(summary)]
    found = next(t for t in every if t.title.startswith(title))
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


@pytest.mark.parametrize("summary", [COMPARED, SCANNED, GROWN])
def test_every_verb_tells_what_was_spent_and_the_rows_add_up(summary) -> None:
    rows = table(summary, "What was spent")
    assert rows[-1]["arm"] == "total"
    assert sum(int(row["runs"]) for row in rows[:-1]) == int(rows[-1]["runs"])
    assert {row["arm"] for row in rows} == set(summary.ledger)


def test_what_lost_workers_used_is_told_apart() -> None:
    total = dataclasses.replace(
        COMPARED.ledger["total"], wasted_device_s=90.0, failed=3
    )
    ledger = {**COMPARED.ledger, "total": total}
    wasteful = dataclasses.replace(COMPARED, ledger=ledger)
    row = table(wasteful, "What was spent")[-1]
    assert (row["wasted"], row["not complete"]) == ("1.5 min", "3")
    assert "wasted 1.5 min" in (formatting.spent(total) or "")
    assert "wasted" not in (formatting.spent(COMPARED.ledger["total"]) or "")


def test_pairs_are_told_with_their_interval_and_sign() -> None:
    rows = {row["arm"]: row for row in table(PAIRED, "Seed by seed")}
    assert set(rows) == set(detail.PAIRED.values())
    for arm, row in PAIRED.paired.items():
        said = rows[detail.PAIRED[arm]]
        assert said["pairs"] == str(row.pairs)
        assert said["validation loss, difference"].startswith(f"{row.excess:.2g} [")


def test_a_scan_shows_both_forms_and_what_the_ends_do() -> None:
    forms = table(SCANNED, "Which form")
    assert [row["form"] for row in forms] == ["power law", "levels off"]
    assert sum(int(row["weight"].rstrip("%")) for row in forms) in {99, 100, 101}
    ends = table(SCANNED, "The trend without")
    assert len(ends) == len(SCANNED.fit.sensitivity) > 0


@pytest.mark.parametrize(
    ("chosen", "weight", "said"),
    [
        ("saturating", 0.97, "a form that levels off at 50 units fits better"),
        ("power_law", 0.97, "a power law fits better"),
        ("power_law", 0.6, "too close to tell"),
    ],
)
def test_the_form_of_a_trend_is_one_sentence(chosen, weight, said) -> None:
    found = Forms(
        chosen=chosen,
        weight=weight,
        power_law=PowerLaw(aicc=0.0, exponent=0.3, at_one=3.0),
        saturating=Saturating(aicc=0.0, limit=50.0, half=10.0),
    )
    sentence = formatting.form(found)
    assert sentence is not None
    assert said in sentence
    assert formatting.form(None) is None


def test_what_is_not_known_has_no_table() -> None:
    empty = summarise(job_events()[:1])
    assert detail.cost_tables(empty) == detail.closer_tables(empty) == []


def test_tables_are_rectangular_and_say_how_to_read_them() -> None:
    for summary in (COMPARED, PAIRED, SCANNED, GROWN):
        for found in [*detail.cost_tables(summary), *detail.closer_tables(summary)]:
            assert isinstance(found, Table)
            assert {len(row) for row in found.rows} == {len(found.columns)}
            assert found.note


def test_a_regression_has_no_accuracy_and_says_what_its_loss_means() -> None:
    said, _ = answer(dataclasses.replace(GROWN, test_accuracy=None))
    assert "accuracy" not in said
    assert "no better than their mean" in said
    said, _ = answer(dataclasses.replace(GROWN, test_accuracy=0.5, test_loss=1.0))
    assert "test accuracy 50.00%, test loss 1" in said
    assert "mean" not in said


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (999.6, "1 k"), (12345, "12.3 k"), (2.5e13, "25 T")],
)
def test_large_numbers_have_units(value, text) -> None:
    assert formatting.count(value) == text

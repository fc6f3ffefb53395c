"""Several jobs on one page: what is side by side, and under which names."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from senn_ray.analysis.summary import summarise
from senn_ray.cli.main import run
from senn_ray.core.events import Event
from senn_ray.report import several
from senn_ray.report.view import Shown
from senn_ray.store import journal
from tests.analysis.summaries import compared, scanned
from tests.analysis.test_summary import job_events
from tests.report.test_page import EVIL, Structure
from tests.report.test_scan_figure import EVENTS as SCAN

COMPARE = job_events("compare")
GROW = job_events("grow")


def folder(path: Path, events: list[Event]) -> str:
    path.mkdir(parents=True)
    writer = journal.Journal(path / journal.FILE_NAME)
    for event in events:
        writer.append(event)
    writer.close()
    return str(path)


def test_verdicts_rates_sizes_and_scans_are_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [
        folder(tmp_path / name, events)
        for name, events in {
            "a/cmp": COMPARE, "b/cmp": COMPARE, "scan": SCAN, "scan2": SCAN, "g": GROW
        }.items()
    ]  # fmt: skip
    assert run(["report", *folders, "--out", str(tmp_path / "page"), "--json"]) == 0
    page = Path(json.loads(capsys.readouterr().out)["report"])
    assert page == tmp_path / "page" / "index.html"
    text = page.read_text(encoding="utf-8")
    structure = Structure(text)
    assert structure.open == []
    assert len(set(structure.ids)) == len(structure.ids)
    assert "<script" not in text
    for name in ("a/cmp", "b/cmp", "scan2"):
        assert name in text
    with (page.parent / "figures" / "rates.csv").open() as file:
        rates = list(csv.DictReader(file))
    assert {row["job"] for row in rates} == {"a/cmp", "b/cmp"}
    wanted = compared(COMPARE).exchange_rate["quality_at_size"]
    for row in rates:
        assert float(row["low"]) == wanted[row["arm"]]["runs"].low
    with (page.parent / "figures" / "scans.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2 * len(scanned(SCAN).cells)


def test_tables_put_jobs_into_columns() -> None:
    summary = summarise(COMPARE)
    jobs = [Shown(name=name, summary=summary) for name in ("one", "two")]
    tables = {table.title: table for table in several.tables(jobs)}
    sizes = tables["Sizes in hidden units"]
    assert sizes.columns == ("network", "one", "two")
    assert all(row[1] == row[2] for row in sizes.rows)
    assert [row[0] for row in tables["Jobs"].rows] == ["one", "two"]
    assert not any("examples per class" in title for title in tables)


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (["/x/a", "/x/b"], ["a", "b"]),
        (["/x/a", "/y/a", "/y/b/"], ["x/a", "y/a", "y/b"]),
        (["s3://b/r/a", "/r/a"], ["b/r/a", "/r/a"]),
        (["/x/a", "/x/a"], ["a", "a"]),
    ],
)
def test_names_are_as_short_as_they_can_be(places: list[str], names: list[str]) -> None:
    assert several.names_of(places) == names


def test_names_are_escaped_and_one_scan_needs_no_figure(tmp_path: Path) -> None:
    shown: list[Any] = [
        Shown(name=EVIL, summary=summarise(SCAN)),
        Shown(name="grown", summary=summarise(GROW)),
    ]
    text = several.write(shown, tmp_path).read_text(encoding="utf-8")
    assert EVIL not in text
    assert not list((tmp_path / "figures").iterdir())


def test_one_run_has_its_own_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = folder(tmp_path / "a", GROW)
    assert run(["report", place, "--out", str(tmp_path / "b")]) == 2
    assert "give more than one" in capsys.readouterr().err
    assert run(["report", place, str(tmp_path / "missing")]) == 4
    assert "no journal here" in capsys.readouterr().err

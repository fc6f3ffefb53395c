import csv
import dataclasses
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from senn_ray.analysis.summary import summarise
from senn_ray.core.events import Event, RunFinished
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.report import page, tables
from senn_ray.report.drawing import COLOURS, LIGHT, STAND_IN, Paint
from senn_ray.report.scan_figure import width_against_examples
from senn_ray.store import journal
from tests.analysis.summaries import scanned
from tests.analysis.test_oracle import EVENTS as ORACLE_EVENTS
from tests.analysis.test_scan import CONFIG, cell_run, scan_events
from tests.report.test_page import Structure

FILLED, HOLLOW = "converged run", "run that did not converge"


def mixed(spec: RunSpec) -> RunRecord:
    if spec.data.per_class == "all" and spec.trial == 1:
        return cell_run(spec, stop_reason="cap_hit")
    return cell_run(spec)


EVENTS, _ = scan_events(run=mixed)
SUMMARY = scanned(EVENTS)


def write(path: Path, events: list[Event]) -> str:
    writer = journal.Journal(path / journal.FILE_NAME)
    for event in events:
        writer.append(event)
    writer.close()
    return page.write(path, events, summarise(events)).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("scanned")
    return path, write(path, EVENTS)


def test_the_page_of_a_scan_is_whole(written) -> None:
    folder, text = written
    structure = Structure(text)
    assert structure.open == []
    assert len(set(structure.ids)) == len(structure.ids)
    assert {"figures/scan.csv", "figures/scan.svg", "figures/scan.png"} <= set(
        structure.links
    )
    for link in structure.links:
        if not link.startswith("#"):
            assert (folder / "report" / link).is_file()
    assert "<script" not in text
    assert "Targets" not in text


def test_the_page_says_the_trend_and_every_caveat(written) -> None:
    _, text = written
    assert "Hidden units per tenfold of examples: 10 [" in text
    assert "the rarest" not in text
    for caveat in SUMMARY.caveats:
        assert caveat.text in text
    assert "37 38* 39" in text


def test_each_size_shows_one_growth_trace(written) -> None:
    _, text = written
    shown = re.findall(r"<summary>Growth of (\S+)</summary>", text)
    assert shown == ["senn-0-000", "senn-10-000", "senn-100-000", "senn-1000-000"]


def test_the_data_of_the_figure_are_the_cells(written) -> None:
    folder, _ = written
    with (folder / "report" / "figures" / "scan.csv").open() as file:
        rows = list(csv.DictReader(file))
    cells = SUMMARY.cells
    assert [row["per_class"] for row in rows] == [str(c.per_class) for c in cells]
    assert [int(row["hidden_total"]) for row in rows] == [c.hidden_total for c in cells]
    assert [row["converged"] for row in rows] == [str(c.converged) for c in cells]


def test_the_picture_and_the_drawing_stand_alone(written) -> None:
    folder, _ = written
    figures = folder / "report" / "figures"
    assert (figures / "scan.png").read_bytes().startswith(b"\x89PNG")
    svg = (figures / "scan.svg").read_text()
    ElementTree.fromstring(svg)
    assert "var(--" not in svg
    assert LIGHT.senn in svg


def test_runs_that_did_not_converge_are_hollow() -> None:
    figure, clean = width_against_examples(SUMMARY), scanned(scan_events()[0])
    assert figure is not None
    assert FILLED in figure.svg
    assert HOLLOW in figure.svg
    assert "hollow ones (1) did not" in figure.caption
    other = width_against_examples(clean)
    assert other is not None
    assert HOLLOW not in other.svg
    assert "All converged" in other.caption


def test_the_axes_name_the_sizes_that_were_visited() -> None:
    figure = width_against_examples(SUMMARY)
    assert figure is not None
    words = re.findall(r"<text[^>]*>([^<]*)</text>", figure.svg)
    assert {"10", "100", "1,000", "all"} <= set(words)
    assert {"hidden units", "test accuracy", "training examples per class"} <= set(
        words
    )


def test_without_test_accuracy_there_is_one_panel() -> None:
    events = [
        RunFinished(record=dataclasses.replace(e.record, test_accuracy=None))
        if isinstance(e, RunFinished)
        else e
        for e in EVENTS
    ]
    figure = width_against_examples(scanned(events))
    assert figure is not None
    assert "test accuracy" not in figure.svg


@pytest.mark.slow
def test_a_scan_has_a_page_and_tables_at_every_moment(tmp_path: Path) -> None:
    for count in {1, 4, len(EVENTS) // 2, len(EVENTS) - 1}:
        path = tmp_path / str(count)
        path.mkdir()
        text = write(path, EVENTS[:count])
        assert "This job is not over." in text
        assert Structure(text).open == []
        cells = tables.build(EVENTS[:count], summarise(EVENTS[:count]))["scan"]
        finished = sum(isinstance(event, RunFinished) for event in EVENTS[:count])
        assert cells.num_rows == finished


def test_the_light_colours_are_those_of_the_page() -> None:
    css = (Path(page.__file__).parent / "page.css").read_text()
    light = css[: css.index("prefers-color-scheme: dark")]
    for name in Paint.__dataclass_fields__:
        variable = COLOURS[getattr(STAND_IN, name)]
        assert f"{variable}: {getattr(LIGHT, name)}" in light


def test_the_settings_of_the_scan_are_told(written) -> None:
    _, text = written
    assert CONFIG.scan.per_class == (10, 100, 1000, "all")
    assert "<dd>10, 100, 1000, all</dd>" in text


def test_the_oracle_is_drawn_and_told(tmp_path: Path) -> None:
    text = write(tmp_path, ORACLE_EVENTS)
    assert "smallest sufficient plain width / best plain width" in text
    assert "the smallest sufficient width is 32" in text
    assert Structure(text).open == []

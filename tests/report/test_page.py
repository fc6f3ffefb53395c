import csv
import dataclasses
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest

from senn_ray.analysis.summary import promise_summary, summarise
from senn_ray.core.events import Event, JobStarted, RunFinished
from senn_ray.core.records import Expansion, RunRecord
from senn_ray.report import growth_figures, page
from senn_ray.store import journal
from tests.analysis.summaries import summary_of
from tests.analysis.test_summary import job_events

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "br", "hr", "link", "img", "input"}


def _expansion(kind: str, *, step: int, before: int, after: int) -> Expansion:
    return Expansion(
        step=step,
        kind=kind,  # pyright: ignore[reportArgumentType]
        site=0,
        score_gain=None if kind == "prune" else 0.2,
        relative_gain=0.5,
        current_score=0.4,
        heldout_gain=0.2,
        heldout_z=3.0,
        removal_cost=0.0005 if kind == "prune" else None,
        hidden_before=(before,),
        hidden_after=(after,),
        loss_before=1.0,
        loss_after=0.75,
    )


GROWTH = (
    _expansion("widen", step=50, before=2, after=3),
    _expansion("widen", step=50, before=3, after=4),
    _expansion("rejected", step=100, before=4, after=4),
    _expansion("prune", step=150, before=4, after=3),
)


def _grown(event: Event) -> Event:
    if isinstance(event, RunFinished) and event.record.kind == "grow":
        record = dataclasses.replace(event.record, expansions=GROWTH)
        return RunFinished(record=record)
    return event


def _folder(path: Path, events: Sequence[Event]) -> Path:
    writer = journal.Journal(path / journal.FILE_NAME)
    for event in events:
        writer.append(event)
    writer.close()
    return path


def _read(path: Path, events: Sequence[Event]) -> str:
    return _written(path, events).read_text(encoding="utf-8")


def _written(path: Path, events: Sequence[Event]) -> Path:
    return page.write(_folder(path, events), events, summarise(events))


def _csv(path: Path, name: str) -> list[dict[str, str]]:
    with (path / "report" / "figures" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


class Structure(HTMLParser):
    """Collect what the laws of the page are about; check that elements nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.references: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids += [values["id"]] if "id" in values else []
        names = ("href", "src", "xlink:href")
        self.links += [values[name] for name in names if name in values]
        self.references |= set(values.get("aria-labelledby", "").split())
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("compared")
    return path, _read(path, [_grown(event) for event in job_events("compare")])


def test_the_page_is_whole_and_needs_no_network(compared) -> None:
    folder, text = compared
    structure = Structure(text)
    assert structure.open == []
    assert len(set(structure.ids)) == len(structure.ids)
    assert structure.references <= set(structure.ids)
    for link in structure.links:
        if link.startswith("#"):
            assert link[1:] in structure.ids
        else:
            assert (folder / "report" / link).is_file()
    assert "<script" not in text
    assert "@import" not in text
    assert set(re.findall(r"https?://[^\"' <]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_figures_are_valid_named_and_follow_the_colours_of_the_page(compared) -> None:
    _, text = compared
    figures = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(figures) == 4 + 5
    for figure in figures:
        root = ElementTree.fromstring(figure)
        assert root.attrib["role"] == "img"
        assert [child.tag.rpartition("}")[2] for child in root][:2] == ["title", "desc"]
        assert "#0101" not in figure
        assert "var(--ink)" in figure


def test_the_verdict_and_every_caveat_are_told(compared) -> None:
    folder, text = compared
    summary = summary_of(journal.read(folder))
    for sentence in [summary["verdict"], *summary["withheld"], *summary["caveats"]]:
        assert sentence is None or _escaped(sentence) in text
    for arm in ("senn", "random", "tpe_pareto", "ladder_bisect", "max_once"):
        # Two targets, for opponents with prices of their own, and the ledger.
        rows = (3 if arm == "senn" else 5) + sum(
            row["arm"] == arm for row in summary["retrained"]
        )
        assert text.count(f'<th scope="row">{arm}</th>') == rows


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace(">", "&gt;").replace("<", "&lt;")


def test_data_of_the_figures_are_the_numbers_of_the_journal(compared) -> None:
    folder, _ = compared
    events = journal.read(folder)
    records = {e.record.run_id: e.record for e in events if isinstance(e, RunFinished)}
    rows = _csv(folder, "sizes")
    assert {row["run_id"] for row in rows} == set(records)
    for row in rows:
        assert float(row["val_loss"]) == records[row["run_id"]].val_loss
        assert int(row["hidden"]) == sum(records[row["run_id"]].hidden)


def test_proposals_of_one_check_share_one_outcome(compared) -> None:
    folder, _ = compared
    rows = _csv(folder, "promises")
    assert len(rows) == 5
    assert rows[0] == {
        "run_id": "senn-0-000",
        "step": "50",
        "additions": "2",
        "promised_drop": "0.2",
        "realised_drop": "0.25",
    }


def test_a_growth_trace_marks_what_was_decided(compared) -> None:
    folder, text = compared
    for label in ("accepted proposal (2)", "rejected proposal (1)", "removal (1)"):
        assert label in text
    kinds = [row["what"] for row in _csv(folder, "growth-senn-0-000")]
    assert sorted(kinds) == ["evaluation", "prune", "rejected", "widen", "widen"]


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["grow", "compare"])
def test_a_job_has_a_page_at_every_moment(tmp_path, verb) -> None:
    events = job_events(verb)
    for count in {1, len(events) // 3, len(events) - 1}:
        path = tmp_path / str(count)
        path.mkdir()
        text = _read(path, events[:count])
        assert "This job is not over." in text
        assert Structure(text).open == []


def test_what_people_and_errors_say_is_text_not_markup(tmp_path) -> None:
    def spoil(record: RunRecord) -> RunRecord:
        return dataclasses.replace(record, state="failed", error=EVIL, val_loss=None)

    events = [
        RunFinished(record=spoil(e.record)) if isinstance(e, RunFinished) else e
        for e in job_events("grow")
    ]
    started = events[0]
    assert isinstance(started, JobStarted)
    events[0] = dataclasses.replace(started, where=EVIL)
    text = _read(tmp_path, events)
    assert EVIL not in text
    assert text.count("&lt;script&gt;") >= 2


@pytest.mark.slow
def test_equal_folders_give_equal_pages(tmp_path) -> None:
    pages = []
    for name in ("a", "b"):
        path = tmp_path / name / "run"
        path.mkdir(parents=True)
        pages.append(_read(path, job_events("grow")))
    assert pages[0] == pages[1]


def test_the_line_of_equality_bends_where_one_axis_is_logarithmic() -> None:
    drops = ((0.002, 0.1), (2.0, -0.1), (0.2, 0.3))
    marks = [
        dataclasses.replace(GROWTH[0], step=n, score_gain=2 * gain, loss_after=1 - drop)
        for n, (gain, drop) in enumerate(drops)
    ]
    record = next(e.record for e in job_events("grow") if isinstance(e, RunFinished))
    record = dataclasses.replace(record, expansions=tuple(marks))
    figure = growth_figures.promises([record], promise_summary([record]))
    assert figure is not None
    root = ElementTree.fromstring(figure.svg)
    paths = [path.get("d") or "" for path in root.iter() if path.tag.endswith("path")]
    curves = [re.findall(r"[ML] (\S+) (\S+)", path) for path in paths]
    line = max(curves, key=len)
    (x0, y0), (x1, y1), (x2, y2) = (
        tuple(map(float, line[n])) for n in (0, len(line) // 2, -1)
    )
    straight = y0 + (y2 - y0) * (x1 - x0) / (x2 - x0)
    assert abs(y1 - straight) > 0.1 * abs(y2 - y0)

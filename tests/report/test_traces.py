"""Growth traces: a page holds a few of them, whatever the number of runs."""

import dataclasses
import functools
import random
from pathlib import Path
from xml.etree import ElementTree

import pytest

from senn_ray.core.events import Event, RunFinished
from senn_ray.core.records import RunRecord
from senn_ray.report import growth_figures, traces
from senn_ray.report.drawing import Figure
from tests.analysis.test_summary import job_events
from tests.report.test_page import GROWTH, Structure, _csv, _read
from tests.search.fakes import make_config

SEEDS = 40
CHECKS = 60
MOST_BYTES = 1_500_000
DRAW = growth_figures.growth_trace


def _grown_long(event: Event) -> Event:
    """Make growing runs as long as real ones: what a page weighs depends on it."""
    if not isinstance(event, RunFinished) or event.record.kind != "grow":
        return event
    rng = random.Random(event.record.run_id)
    moment = event.record.evaluations[-1]
    evaluations = [
        dataclasses.replace(
            moment, step=50 * n, train_loss=rng.random(), val_loss=rng.random()
        )
        for n in range(CHECKS)
    ]
    expansions = [
        dataclasses.replace(
            GROWTH[n % 4], step=50 * n, score_gain=rng.random(), loss_after=rng.random()
        )
        for n in range(CHECKS)
    ]
    record = dataclasses.replace(
        event.record, evaluations=tuple(evaluations), expansions=tuple(expansions)
    )
    return RunFinished(record=record)


@functools.cache
def _drawn_once() -> Figure:
    grown = (_grown_long(event) for event in job_events("grow"))
    return DRAW(next(e.record for e in grown if isinstance(e, RunFinished)))


def _traced(record: RunRecord) -> Figure:
    """Stand for the drawing of a run by that of another one: drawing is slow."""
    known, name = _drawn_once(), f"growth-{record.run_id}"
    return dataclasses.replace(
        known,
        name=name,
        title=f"Growth of {record.run_id}",
        svg=known.svg.replace(known.name, name),
    )


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    config = make_config()
    compared = config.compare.model_copy(update={"seeds": SEEDS})
    events = job_events("grow", config=config.model_copy(update={"compare": compared}))
    path = tmp_path_factory.mktemp("crowded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growth_figures, "growth_trace", _traced)
        return path, _read(path, [_grown_long(event) for event in events])


def test_a_page_of_forty_seeds_is_light_and_links_what_is_drawn(crowded) -> None:
    folder, text = crowded
    assert len(text.encode()) < MOST_BYTES
    assert 3 < text.count("<summary>Growth of ") <= traces.MOST_INLINE
    links = Structure(text).links
    figures = folder / "report" / "figures"
    names = {path.stem for path in figures.glob("growth-*.csv")}
    assert len(names) == traces.MOST_DRAWN < SEEDS
    assert f"{SEEDS - traces.MOST_DRAWN} more runs are not drawn" in text
    assert {f"figures/{name}.csv" for name in names} <= {*links}
    for link in links:
        assert link.startswith("#") or (folder / "report" / link).is_file()


def test_a_trace_beside_the_page_is_a_drawing_with_colours_of_its_own(crowded) -> None:
    folder, _ = crowded
    drawings = sorted((folder / "report" / "figures").glob("growth-*.svg"))
    assert len(drawings) >= traces.MOST_DRAWN - traces.MOST_INLINE
    text = drawings[0].read_text()
    ElementTree.fromstring(text)
    assert "var(--" not in text
    assert _csv(folder, drawings[0].stem)


def _records(losses: dict[str, list[float | None]]) -> list[RunRecord]:
    record = next(e.record for e in job_events("grow") if isinstance(e, RunFinished))
    return [
        dataclasses.replace(record, run_id=f"{arm}-{n}", arm=arm, trial=n, val_loss=x)
        for arm, values in losses.items()
        for n, x in enumerate(values)
    ]


def test_median_best_and_worst_of_each_arm_come_first_and_none_is_lost() -> None:
    records = _records({"gradmax": [0.7, 0.6], "senn": [0.4, 0.1, None, 0.9, 0.3, 0.2]})
    names = [record.run_id for record in traces.by_weight(records)]
    assert names[:5] == ["senn-4", "gradmax-1", "senn-1", "gradmax-0", "senn-3"]
    assert sorted(names) == sorted(record.run_id for record in records)


def test_fewer_traces_fit_where_they_are_heavy(monkeypatch) -> None:
    records = _records({"senn": [0.1, 0.2, 0.3]})
    monkeypatch.setattr(growth_figures, "growth_trace", _traced)
    monkeypatch.setattr(traces, "MOST_BYTES", 1.5 * len(_drawn_once().svg))
    found = traces.traces(records)
    assert (len(found.inline), len(found.apart)) == (1, 2)
    monkeypatch.setattr(traces, "MOST_BYTES", 1)
    assert len(traces.traces(records).inline) == 1

import dataclasses
from pathlib import Path

import pytest

from senn_ray.analysis.summary import summarise
from senn_ray.core.errors import DataError
from senn_ray.core.events import RunFinished
from senn_ray.core.records import Rung
from senn_ray.report import tables
from senn_ray.search.targets import CURRENCIES
from tests.analysis.test_summary import CONFIG, EVENTS, RESULT, job_events


def test_every_run_and_evaluation_is_a_row() -> None:
    built = tables.build(EVENTS, RESULT)
    records = [event.record for event in EVENTS if isinstance(event, RunFinished)]
    assert built["runs"].num_rows == len(records)
    assert built["steps"].num_rows == sum(len(r.evaluations) for r in records)
    losses = dict(
        zip(
            built["runs"]["run_id"].to_pylist(),
            built["runs"]["val_loss"].to_pylist(),
            strict=True,
        )
    )
    assert losses == {record.run_id: record.val_loss for record in records}


def test_matches_hold_the_numbers_of_the_summary() -> None:
    rows = tables.build(EVENTS, RESULT)["matches"].to_pylist()
    assert len(rows) == 2 * (1 + len(CONFIG.baseline.arms)) * len(CURRENCIES)
    (row,) = [
        r
        for r in rows
        if (r["target"], r["arm"], r["currency"])
        == ("quality_at_size", "random", "device_s")
    ]
    rate = RESULT.exchange_rate["quality_at_size"]["random"]["device_s"]
    assert row["exchange_rate"] == rate.estimate
    assert row["exchange_rate_high"] == rate.high
    assert row["hits"] == RESULT.arms["quality_at_size"]["random"].hits


def test_every_rung_is_a_row_and_one_of_them_is_found() -> None:
    record = next(e.record for e in EVENTS if isinstance(e, RunFinished))
    front = tuple(
        Rung(
            hidden=(width,),
            params=10 * width,
            flops=20 * width,
            val_loss=loss,
            val_accuracy=None,
            gap=loss - 0.25,
            gap_se=0.1,
            steps=10,
            sample_visits=100,
            flops_spent=1e3,
            device_s=1.0,
            checkpoint=f"rungs/{width}.pt",
        )
        for width, loss in ((8, 0.25), (4, 0.26), (2, 0.5))
    )
    event = RunFinished(record=dataclasses.replace(record, front=front, found=1))
    table = tables.build([EVENTS[0], event], RESULT)["fronts"]
    rows = table.to_pylist()
    assert [row["run_id"] for row in rows] == [record.run_id] * 3
    assert [row["found"] for row in rows] == [False, True, False]
    assert [row["best"] for row in rows] == [True, False, False]
    assert [row["val_loss"] for row in rows] == [0.25, 0.26, 0.5]
    assert rows[1]["checkpoint"] == "rungs/4.pt"
    units = [f.metadata for f in table.schema if f.name in {"flops", "gap_se"}]
    assert all(b"unit" in unit for unit in units)


def test_tables_carry_units_and_a_schema_version(tmp_path: Path) -> None:
    tables.write(tmp_path, EVENTS, RESULT)
    for name in tables.SCHEMAS:
        table = tables.read(tmp_path, name)
        expected = tables.schema(name)
        assert table.schema.names == expected.names
        assert [f.metadata for f in table.schema] == [f.metadata for f in expected]
        assert table.schema.metadata[b"schema_version"] == b"1"
    units = tables.read(tmp_path, "runs").schema.field("device_s").metadata
    assert units == {b"unit": b"seconds x replicas"}


def test_a_job_without_a_finished_run_has_empty_tables(tmp_path: Path) -> None:
    events = job_events("grow")[:1]
    tables.write(tmp_path, events, summarise(events))
    assert tables.read(tmp_path, "runs").num_rows == 0


def test_a_missing_table_is_named_with_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="senn-ray report"):
        tables.read(tmp_path, "runs")

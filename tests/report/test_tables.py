from pathlib import Path

import pytest

from senn_ray.analysis.summary import summarise
from senn_ray.core.errors import DataError
from senn_ray.core.events import RunFinished
from senn_ray.report import tables
from tests.analysis.test_summary import EVENTS, RESULT, job_events


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
    assert len(rows) == 2 * 5 * 5
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

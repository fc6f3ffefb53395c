"""Which differences between two records of one run count."""

import dataclasses
from typing import Any

import pytest

from senn_ray.core.errors import ConfigError
from senn_ray.core.events import RunFinished, RunSubmitted
from senn_ray.core.records import RunRecord
from senn_ray.search.rerun import UNSTEADY, differences, recorded
from tests.search.executor_suite import make_record, make_spec
from tests.search.fakes import fake_run

SPEC = dataclasses.replace(
    make_spec("random-0-000"), checkpoint="/far/final.pt", evaluate_test=True
)
RECORD = dataclasses.replace(fake_run(SPEC), checksum="abc")


def names(again: RunRecord, tolerance: float = 0.0) -> list[str]:
    return [d["name"] for d in differences(RECORD, again, tolerance=tolerance)]


def changed(**changes: Any) -> RunRecord:
    return dataclasses.replace(RECORD, **changes)


def test_times_and_places_are_no_difference() -> None:
    cost = dataclasses.replace(RECORD.cost, device_s=99.0, growth_s=9.0)
    moments = [dataclasses.replace(e, device_s=7.0) for e in RECORD.evaluations]
    again = changed(
        cost=cost, evaluations=tuple(moments), wall_s=5.0, checkpoint=None,
        device_name="other", started_utc_s=7.0,
    )  # fmt: skip
    assert names(again) == []
    fields = {
        f.name for kind in (RECORD, RECORD.cost) for f in dataclasses.fields(kind)
    }
    assert fields >= UNSTEADY


def test_every_steady_value_counts_to_the_last_bit() -> None:
    moment, *rest = RECORD.evaluations
    loss = moment.val_loss
    inside = dataclasses.replace(moment, val_loss=loss * (1 + 2.3e-16))
    assert inside.val_loss != loss
    assert names(changed(evaluations=(inside, *rest))) == ["evaluations[0].val_loss"]
    assert names(changed(hidden=(9,), checksum="x")) == ["hidden", "checksum"]
    fewer = names(changed(evaluations=()))
    assert "evaluations[0].step" in fewer
    cost = dataclasses.replace(RECORD.cost, steps=1)
    assert names(changed(cost=cost)) == ["cost.steps"]


def test_what_an_old_journal_does_not_have_is_no_difference() -> None:
    later = {"guess_val_loss": 2.3, "n_val": 300, "val_share_gap": 0.1}
    assert names(changed(**later)) == []
    now = differences(changed(**later), changed(**later, n_train=9), tolerance=0.0)
    assert [d["name"] for d in now] == ["n_train"]
    lost = differences(changed(**later), RECORD, tolerance=0.0)
    assert {d["name"] for d in lost} == later.keys()


def test_a_tolerance_is_for_measured_numbers_only() -> None:
    loss = RECORD.val_loss or 0.0
    near = changed(val_loss=loss * 1.0005, checksum="other")
    assert names(near, 1e-3) == []
    assert names(near, 1e-4) == ["val_loss"]
    assert names(changed(params=RECORD.params + 1), 0.5) == ["params"]
    assert names(changed(val_loss=None), 0.5) == ["val_loss"]


def test_a_run_is_repeated_without_touching_its_checkpoint() -> None:
    events = [RunSubmitted(spec=SPEC), RunFinished(record=RECORD)]
    spec, record = recorded(events, SPEC.run_id)
    assert spec == dataclasses.replace(SPEC, checkpoint=None)
    assert record == RECORD


def test_an_unknown_run_is_told_which_there_are() -> None:
    ids = [f"random-0-{n:03d}" for n in range(7)]
    specs = [make_spec(run_id) for run_id in ids]
    submitted = [RunSubmitted(spec=spec) for spec in specs]
    finished = [RunFinished(record=make_record(spec)) for spec in specs[:6]]
    with pytest.raises(ConfigError, match=r"random-0-004, \.\.\.$"):
        recorded([*submitted, *finished], ids[6])
    with pytest.raises(ConfigError, match="none has finished"):
        recorded(submitted, ids[0])

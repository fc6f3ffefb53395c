import dataclasses
import errno
import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from senn_ray.core import events
from senn_ray.core.errors import DataError, Notice, ResourceError
from senn_ray.core.events import (
    Event,
    JobEnded,
    JobStarted,
    RunFinished,
    RunProgressed,
    RunSubmitted,
    TargetLocked,
)
from senn_ray.core.records import Cost, Progress
from senn_ray.store.journal import Journal, Mark, last_writer, read, read_on
from tests.search.executor_suite import make_record, make_spec

EVENTS: list[Event] = [
    JobStarted(verb="grow", config={"seed": 1}, versions={"torch": "2"}, where="here"),
    RunSubmitted(spec=make_spec("a", width=3)),
    RunFinished(record=make_record(make_spec("a", width=3))),
    TargetLocked(val_loss=0.1 + 0.2, max_params=1234),
    events.TestOpened(run_ids=("a", "b")),
    JobEnded(state="complete", exit_code=0),
]


def write(path: Path, contents: list[Event]) -> Path:
    journal = Journal(path, clock=lambda: 12.5)
    for event in contents:
        journal.append(event)
    journal.close()
    return path


def test_what_was_written_is_read_back_exactly(tmp_path: Path) -> None:
    assert read(write(tmp_path / "journal.jsonl", EVENTS)) == EVENTS
    assert read(tmp_path) == EVENTS


@given(loss=st.floats(allow_nan=False))
def test_floats_survive_exactly(
    loss: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    record = dataclasses.replace(make_record(make_spec("a")), val_loss=loss)
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    (event,) = read(write(path, [RunFinished(record=record)]))
    assert isinstance(event, RunFinished)
    assert event.record.val_loss == loss


def test_a_loss_that_is_not_a_number_survives(tmp_path: Path) -> None:
    record = dataclasses.replace(make_record(make_spec("a")), train_loss=math.nan)
    (event,) = read(write(tmp_path / "j", [RunFinished(record=record)]))
    assert isinstance(event, RunFinished)
    assert math.isnan(event.record.train_loss or 0.0)


def test_signs_of_life_are_not_kept(tmp_path: Path) -> None:
    progress = Progress(
        run_id="a", step=1, max_steps=2, hidden=(2,), train_loss=1.0, val_loss=1.0
    )
    path = write(tmp_path / "j", [RunProgressed(progress=progress), EVENTS[-1]])
    assert read(path) == EVENTS[-1:]


def test_any_torn_tail_loses_only_the_last_event(tmp_path: Path) -> None:
    path = write(tmp_path / "j", EVENTS)
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(last, len(whole)):
        path.write_bytes(whole[:cut])
        assert read(path) == EVENTS[:-1]


def test_appending_after_a_torn_tail_repairs_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "j", EVENTS[:-1])
    path.write_bytes(path.read_bytes() + b'{"event": "Job')
    assert read(write(path, EVENTS[-1:])) == EVENTS


@pytest.mark.parametrize("bad", [b"{}", b'{"event": "Job', b"[]", b"7", b"\xff", b""])
def test_a_damaged_line_is_skipped_and_told_and_the_rest_is_kept(
    tmp_path: Path, bad: bytes
) -> None:
    path = write(tmp_path / "j", EVENTS)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], bad + b"\n", *lines[2:]]))
    with pytest.warns(Notice, match=r"j: 1 of 6 lines are torn or foreign.*: line 2 "):
        assert read(path) == [EVENTS[0], *EVENTS[2:]]


def test_what_holds_no_event_at_all_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"nonsense\n" * 3)
    with pytest.raises(DataError, match=r"damaged journal: no line of it can be read"):
        read(tmp_path / "j")


def test_a_journal_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "j", EVENTS)
    path.write_text(path.read_text().replace('"version": 2', '"version": 3'))
    with pytest.raises(DataError, match="later senn-ray"):
        read(path)


@pytest.mark.parametrize("late", [1, 3])
def test_a_late_write_of_a_replaced_writer_spoils_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    path = tmp_path / "journal.jsonl"
    first = Journal(path, writer=1)
    for event in EVENTS[:late]:
        first.append(event)
    write, mark = os.write, [Mark()]

    def stalled(file: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        second = Journal(path, writer=2)
        for event in EVENTS[late:]:
            second.append(event)
        mark[0] = read_on(path, Mark())[1]
        return write(file, data)

    monkeypatch.setattr(os, "write", stalled)
    first.append(EVENTS[-1])
    with pytest.warns(Notice, match=r"line 7 \(of a writer that had been replaced\)"):
        assert read(path) == EVENTS
    with pytest.warns(Notice):
        assert read_on(path, mark[0])[0] == []
    assert last_writer(tmp_path) == 2


def test_a_journal_that_is_removed_ends_the_job(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append(EVENTS[0])
    (tmp_path / "j").unlink()
    with pytest.raises(ResourceError, match=r"j is gone.*senn-ray resume"):
        journal.append(EVENTS[1])


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no journal"):
        read(tmp_path)


def test_every_line_is_tagged_json_with_its_time(tmp_path: Path) -> None:
    path = write(tmp_path / "j", EVENTS)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in lines] == [type(e).__name__ for e in EVENTS]
    assert {line["utc_s"] for line in lines} == {12.5}


def test_a_disk_that_fails_within_a_line_leaves_no_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(EVENTS[0])
    write = os.write

    def half(file: int, data: bytes) -> int:
        if len(data) < 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(OSError, match="space"):
            journal.append(EVENTS[1])
    assert read(tmp_path) == EVENTS[:1]
    journal.append(EVENTS[-1])  # the end of the job, when there is room again
    journal.close()
    with pytest.warns(Notice, match="line 2 "):
        assert read(tmp_path) == [EVENTS[0], EVENTS[-1]]


def test_lines_of_the_first_version_are_brought_to_the_present_form(
    tmp_path: Path,
) -> None:
    spec = make_spec("a", width=3)
    shared, alone = (
        dataclasses.replace(make_record(spec), wall_s=6.0, cost=Cost(device_s=device_s))
        for device_s in (2.0, 5.999)
    )
    config = {"seed": 1, "cluster": {"spares": 0}}
    began = JobStarted(verb="compare", config=config, versions={}, where="here")
    new: list[Event] = [
        began,
        RunSubmitted(spec=spec),
        RunFinished(record=dataclasses.replace(shared, wall_s=2.0)),
        RunFinished(record=alone),
    ]
    path = write(tmp_path / "new.jsonl", new)
    old = [json.loads(line) for line in path.read_text().splitlines()]
    for line in old:
        del line["version"]
    old[0]["data"]["config"]["cluster"]["batch_seeds"] = 5
    old[1]["data"]["together"] = 3
    old[2]["data"]["record"]["wall_s"] = 6.0
    path = tmp_path / "old.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in old))
    assert read(path) == new
    # Version 2 knew settings that are gone.
    for line in old:
        line["version"] = 2
    old[0]["data"]["config"]["growth"] = {"exploration": 0.33, "rank": 8}
    old[1]["data"] = json.loads(path.with_name("new.jsonl").read_text().split("\n")[1])[
        "data"
    ]
    old[1]["data"]["spec"]["growth"]["removal_threshold"] = 0.001
    path.write_text("".join(json.dumps(line) + "\n" for line in old[:2]))
    config["growth"] = {"rank": 8}
    assert read(path) == new[:2]
    present: list[Event] = [RunFinished(record=shared)]
    assert read(write(tmp_path / "present.jsonl", present)) == present

"""Resume through every room but Ray, with real training and a real SIGKILL."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from senn_ray.analysis.results import to_json
from senn_ray.cli.main import run
from senn_ray.config import Config
from senn_ray.core.errors import ConfigError, DataError
from senn_ray.core.events import Event, JobEnded, JobResumed, RunFinished, RunProgressed
from senn_ray.service import verbs
from senn_ray.store import journal, lock
from tests.service.test_verbs import in_child, interrupted, settings

MEASURED = ("wall_s", "device_s", "growth_s", "growth_share", "started_utc_s")


def drive_until_killed(folder: Path, runs: int) -> None:
    """Compare in another process that kills itself, in a run or between two events."""
    finished = 0

    def observe(event: Event) -> None:
        nonlocal finished
        finished += isinstance(event, RunFinished)
        if finished >= runs and isinstance(event, RunProgressed):
            os.kill(os.getpid(), signal.SIGKILL)

    driver = in_child(
        lambda: verbs.compare(
            settings(), out=folder, observe=observe, executor=verbs.in_process
        )
    )
    driver.join()
    assert driver.exitcode == -signal.SIGKILL


def results(result: verbs.JobResult[Any]) -> dict[str, Any]:
    """Return tables without what clocks measured, and without places."""
    found = {}
    for name in ("runs", "steps", "expansions", "sizes"):
        table = result.table(name)
        unsteady = {*MEASURED, "checkpoint"} & set(table.column_names)
        found[name] = table.drop_columns(sorted(unsteady)).to_pylist()
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> verbs.JobResult[Any]:
    out = tmp_path_factory.mktemp("whole") / "compare"
    return verbs.compare(settings(), out=out, executor=verbs.in_process)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> verbs.JobResult[Any]:
    out = tmp_path_factory.mktemp("ended") / "grow"
    return verbs.grow(settings(), out=out, executor=verbs.in_process)


@pytest.mark.parametrize("runs", [0, 3])
def test_killed_by_sigkill_and_resumed_gives_the_same_tables(
    tmp_path: Path, undisturbed: verbs.JobResult[Any], runs: int
) -> None:
    drive_until_killed(tmp_path / "run", runs)
    before = journal.read(tmp_path / "run")
    seen = list[Event]()
    result = verbs.resume(
        tmp_path / "run", observe=seen.append, executor=verbs.in_process
    )
    assert (result.exit_code, result.was_over) == (0, False)
    assert results(result) == results(undisturbed)
    first, last = seen[0], seen[-1]
    assert isinstance(first, JobResumed)
    assert isinstance(last, JobEnded)
    assert len(first.resubmitted) == 1
    ids = [e.record.run_id for e in before if isinstance(e, RunFinished)]
    again = [e.record.run_id for e in seen if isinstance(e, RunFinished)]
    assert len(ids) >= runs
    assert not {*ids} & {*again}
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["state"] == "complete"


def test_after_an_interrupt_a_scan_goes_on_in_a_folder_that_was_moved(
    tmp_path: Path,
) -> None:
    config = settings(
        data={"val_per_class": 10}, scan={"per_class": (5, 10), "subset_seeds": 2}
    )
    whole = verbs.scan(config, out=tmp_path / "whole", executor=verbs.in_process)
    first = verbs.scan(config, out=tmp_path / "old", executor=interrupted)
    assert first.exit_code == 130
    (tmp_path / "old").rename(tmp_path / "new")
    result = verbs.resume(tmp_path / "new", executor=verbs.in_process)
    assert result.exit_code == 0
    assert results(result) == results(whole)
    assert not (tmp_path / "old").exists()


def test_a_folder_without_its_first_event_begins(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    whole = verbs.grow(settings(), out=folder, executor=verbs.in_process)
    path = folder / journal.FILE_NAME
    path.write_bytes(path.read_bytes()[:20])
    result = verbs.resume(folder, executor=verbs.in_process)
    assert results(result) == results(whole)


def test_a_job_that_is_over_runs_nothing(
    ended: verbs.JobResult[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (ended.folder / journal.FILE_NAME).read_bytes()
    (ended.folder / "summary.json").unlink()
    assert run(["resume", str(ended.folder), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == to_json(ended.summary)
    assert "over already" in printed.err
    assert (ended.folder / journal.FILE_NAME).read_bytes() == before


def test_other_settings_are_refused_and_the_folder_is_left_alone(
    ended: verbs.JobResult[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (ended.folder / journal.FILE_NAME).read_bytes()
    assert run(["resume", str(ended.folder), "--data.per-class", "30"]) == 2
    assert "data.per_class was 20, now 30" in capsys.readouterr().err
    assert run(["resume", str(ended.folder), "--data.per-class", "20"]) == 0
    assert (ended.folder / journal.FILE_NAME).read_bytes() == before


def test_settings_that_were_edited_in_the_folder_are_refused(
    ended: verbs.JobResult[Any],
) -> None:
    path = ended.folder / "config.yaml"
    kept = path.read_text()
    values = yaml.safe_load(kept)
    values["train"]["lr"] = 0.5
    try:
        path.write_text(yaml.safe_dump(values))
        with pytest.raises(ConfigError, match=r"train\.lr was 0\.003, now 0\.5 \(conf"):
            verbs.resume(ended.folder)
        path.write_text("train: [")
        with pytest.raises(ConfigError, match="restore it"):
            verbs.resume(ended.folder)
    finally:
        path.write_text(kept)


def test_a_folder_that_is_being_written_is_left_alone(
    ended: verbs.JobResult[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with lock.hold(ended.folder):
        assert run(["resume", str(ended.folder), "--quiet"]) == 2
    printed = capsys.readouterr().err
    assert f"is being written by pid {os.getpid()}" in printed
    assert printed.count("\n") == 1


def test_other_data_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    verbs.grow(settings(), out=folder, seeds=3, executor=interrupted)
    path = folder / "protocol.json"
    protocol = json.loads(path.read_text())
    protocol["data"]["sha256"] = "other"
    path.write_text(json.dumps(protocol))
    with pytest.raises(DataError, match="not the one that this job began with"):
        verbs.resume(folder, executor=verbs.in_process)


@pytest.mark.parametrize("name", ["missing", "empty", "file"])
def test_what_is_no_run_folder_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    assert run(["resume", str(tmp_path / name), "--quiet"]) == 4
    printed = capsys.readouterr().err
    assert "give the folder of a run" in printed
    assert printed.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]
    assert not any((tmp_path / "empty").iterdir())


def test_a_journal_that_is_damaged_in_the_middle_loses_only_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ended: verbs.JobResult[Any]
) -> None:
    whole = (ended.folder / journal.FILE_NAME).read_bytes().splitlines(keepends=True)
    for number in range(1, len(whole)):
        folder = tmp_path / str(number)
        shutil.copytree(ended.folder, folder)
        torn = [*whole]
        torn[number] = torn[number][:30] + b"\n"
        (folder / journal.FILE_NAME).write_bytes(b"".join(torn))
        result = verbs.resume(folder, executor=verbs.in_process)
        assert results(result) == results(ended)
    assert run(["status", str(tmp_path / "1")]) == 0
    assert "1 of" in (said := capsys.readouterr().err)
    assert said.count("skipped: line 2 (") == 1


def test_a_second_job_cannot_begin_in_the_same_folder(tmp_path: Path) -> None:
    config = Config.model_validate(settings().model_dump())

    def rude(raw: Any, cluster: Any) -> Any:
        verbs.grow(config, out=tmp_path / "a", executor=verbs.in_process)
        return verbs.in_process(raw, cluster)

    with pytest.raises(ConfigError, match="not empty"):
        verbs.grow(config, out=tmp_path / "a", executor=rude)
    assert verbs.resume(tmp_path / "a", executor=verbs.in_process).was_over

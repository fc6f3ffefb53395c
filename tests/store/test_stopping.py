"""``stop`` and ``watch`` on real run folders: from another thread, shell or process."""

import json
import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from senn_ray.cli.main import run
from senn_ray.core.errors import ConfigError, DataError
from senn_ray.core.events import (
    Event,
    JobEnded,
    RunFinished,
    RunProgressed,
    StopRequested,
)
from senn_ray.service import verbs
from senn_ray.store import journal, stopping
from tests.service.test_resume import results
from tests.service.test_verbs import in_child, interrupted, settings


def at_first(kind: type[Event], act: Callable[[], Any]) -> Callable[[Event], None]:
    """Make an observer that acts once, from inside the job."""
    done = []

    def observe(event: Event) -> None:
        if isinstance(event, kind) and not done:
            done.append(act())

    return observe


def test_a_drained_job_finishes_its_run_and_resumes_to_the_same_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a"
    config = settings(compare={"seeds": 3})
    ask = at_first(RunProgressed, lambda: run(["stop", str(folder)]))
    first = verbs.grow(
        config, out=folder, seeds=3, observe=ask, executor=verbs.in_process
    )
    assert (first.exit_code, first.summary.state) == (130, "stopped")
    said = capsys.readouterr().out
    assert f"asked pid {os.getpid()} on" in said
    assert "runs in flight (1) are finished" in said
    assert not (folder / stopping.FILE_NAME).exists()
    events = journal.read(folder)
    finished = [e for e in events if isinstance(e, RunFinished)]
    assert len(finished) == len(first.summary.runs) in {1, 2}
    assert StopRequested(why="asked") in events
    assert verbs.status(folder).state == "stopped"
    result = verbs.resume(folder, executor=verbs.in_process)
    assert result.exit_code == 0
    whole = verbs.grow(config, out=tmp_path / "b", seeds=3, executor=verbs.in_process)
    assert results(result) == results(whole)


def test_now_ends_a_job_in_a_thread_that_no_signal_reaches(tmp_path: Path) -> None:
    folder, ended = tmp_path / "a", []
    ask = at_first(RunProgressed, lambda: verbs.stop(folder, now=True))

    def drive() -> None:
        ended.append(
            verbs.grow(settings(), out=folder, seeds=50, observe=ask,
                     executor=verbs.in_process)
        )  # fmt: skip

    thread = threading.Thread(target=drive)
    thread.start()
    thread.join()
    assert ended[0].exit_code == 130
    assert journal.read(folder)[-1] == JobEnded(state="interrupted", exit_code=130)


def test_now_ends_another_process_in_good_order(tmp_path: Path) -> None:
    folder, begun = tmp_path / "a", multiprocessing.get_context("fork").Event()
    tell = at_first(RunProgressed, begun.set)
    driver = in_child(
        lambda: verbs.grow(
            settings(), out=folder, seeds=200, observe=tell, executor=verbs.in_process
        )
    )
    try:
        begun.wait()
        assert run(["stop", str(folder), "--now"]) == 0
        driver.join()
        assert driver.exitcode == 130
    finally:
        driver.kill()
        driver.join()
    found = verbs.status(folder)
    assert (found.state, found.writer) == ("interrupted", None)


def test_the_interrupt_is_one_ctrl_c_for_the_main_thread(tmp_path: Path) -> None:
    calls = []
    seen = threading.Event()

    def interrupt() -> None:
        calls.append(threading.get_ident())
        seen.set()

    with stopping.obeyed(tmp_path, poll_s=0.001, interrupt=interrupt) as asked:
        assert asked() is None
        stopping.put(tmp_path, stopping.request(now=False))
        assert asked() == StopRequested(why="asked")
        stopping.put(tmp_path, stopping.request(now=True))
        seen.wait()
        assert asked() == StopRequested(why="asked")
    assert len(calls) == 1
    assert calls[0] != threading.get_ident()
    assert not list(tmp_path.iterdir())


def test_who_asks_first_is_interrupted_and_nobody_twice(tmp_path: Path) -> None:
    calls = []
    with stopping.obeyed(
        tmp_path, poll_s=60, interrupt=lambda: calls.append(1)
    ) as asked:
        stopping.put(tmp_path, stopping.request(now=True))
        with pytest.raises(KeyboardInterrupt):
            asked()
        assert asked() == StopRequested(why="asked")
    assert not calls


def test_an_old_request_does_not_stop_a_job_that_begins(tmp_path: Path) -> None:
    stopping.put(tmp_path, stopping.request(now=True))
    with stopping.obeyed(tmp_path, interrupt=lambda: None) as asked:
        assert asked() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"later": true}'])
def test_a_damaged_request_is_none(tmp_path: Path, text: str) -> None:
    with stopping.obeyed(tmp_path, interrupt=lambda: None) as asked:
        (tmp_path / stopping.FILE_NAME).write_text(text)
        assert asked() is None


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="type Ctrl-C where it runs"):
        stopping.put(tmp_path / "missing", stopping.request(now=True))


def test_where_nobody_works_there_is_nothing_to_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a"
    verbs.grow(settings(), out=folder, seeds=3, executor=interrupted)
    assert run(["stop", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "nobody works on this job (interrupted): nothing to stop" in said
    assert f"senn-ray resume {folder} goes on" in said
    assert run(["stop", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["asked"] is False
    assert not (folder / stopping.FILE_NAME).exists()
    assert run(["stop", str(tmp_path)]) == 4


def test_watching_ends_with_the_job_and_tells_everything_once(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    driver = threading.Thread(
        target=verbs.grow,
        args=(settings(),),
        kwargs={"out": folder, "seeds": 3, "executor": verbs.in_process},
    )
    driver.start()
    while not (folder / journal.FILE_NAME).exists():
        driver.join(0.01)
    looks = list(verbs.watch(folder, every_s=0.01, pause=driver.join))
    driver.join()
    told = [event for _, news in looks for event in news]
    assert told == journal.read(folder)
    states = [found.state for found, _ in looks]
    assert states[-1] == "complete"
    assert set(states[:-1]) <= {"running"}


def test_watching_an_ended_job_prints_its_lines_and_passes_its_code_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a"
    verbs.grow(settings(), out=folder, seeds=3, executor=interrupted)
    assert run(["watch", str(folder)]) == 130
    shown = capsys.readouterr().out
    assert "grow on this process" in shown
    assert "✓ senn-0-000" in shown
    assert f"senn-ray resume {folder}" in shown
    assert "\x1b" not in shown
    assert run(["watch", str(folder), "--json"]) == 130
    printed = capsys.readouterr()
    assert json.loads(printed.out)["state"] == "interrupted"
    assert "✓ senn-0-000" in printed.err


def test_a_driver_that_was_killed_is_no_reason_to_wait(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    verbs.grow(settings(), out=folder, executor=verbs.in_process)
    path = folder / journal.FILE_NAME
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    assert run(["watch", str(folder), "--quiet"]) == 130
    with pytest.raises(DataError, match="no journal here"):
        list(verbs.watch(tmp_path))

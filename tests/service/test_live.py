"""``status`` on run folders: from another shell, on a live run, on bad input."""

import json
import os
import re
from pathlib import Path

import pytest

from senn_ray.cli.main import run
from senn_ray.core.events import Event, RunFinished
from senn_ray.service import verbs
from senn_ray.store import journal
from tests.service.test_verbs import interrupted, settings


def test_a_live_run_shows_its_writer_and_what_is_in_flight(tmp_path: Path) -> None:
    seen = []

    def observe(event: Event) -> None:
        if isinstance(event, RunFinished) and not seen:
            seen.append(verbs.status(tmp_path / "a"))

    verbs.grow(
        settings(),
        out=tmp_path / "a",
        seeds=2,
        observe=observe,
        executor=verbs.in_process,
    )
    (live,) = seen
    assert live.state == "running"
    assert live.writer.pid == os.getpid()
    assert live.arms["senn"].done == 1
    after = verbs.status(tmp_path / "a")
    assert (after.state, after.writer) == ("complete", None)
    assert after.arms["senn"].done == 2


def test_the_screen_and_the_json_of_a_job_that_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a"
    verbs.grow(settings(), out=folder, seeds=3, executor=interrupted)
    assert run(["status", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"grow digits seed 0: interrupted, [\d.]+ s, on this proc", shown)
    assert re.search(r"senn +1 +0 +1 ", shown)
    assert f"senn-ray resume {folder}" in shown
    path = folder / journal.FILE_NAME
    with path.open("ab") as file:
        file.write(b'{"event": "RunFin')
    assert run(["status", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == verbs.status(folder).to_json()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no journal here; give the folder of a run"),
        (b"", "the journal is empty"),
        (b'{"event": "JobSt', "the journal is empty"),
        (b"nonsense\n", "damaged journal: no line of it can be read"),
    ],
)
def test_bad_folders_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    says: str,
) -> None:
    if content is not None:
        (tmp_path / journal.FILE_NAME).write_bytes(content)
    assert run(["status", str(tmp_path)]) == 4
    printed = capsys.readouterr().err
    assert says in printed
    assert printed.count("\n") == 1

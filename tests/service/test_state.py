"""One state of a job, whoever asks: from its journal, and whether it has a writer."""

import json
import os
import time
from pathlib import Path

import pytest

from senn_ray.cli.main import run
from senn_ray.config import ClusterConfig
from senn_ray.core.errors import DataError
from senn_ray.data.examples import RawData
from senn_ray.search.executor import LocalExecutor
from senn_ray.service import verbs
from senn_ray.store import folder as run_folder
from senn_ray.store import journal, lock
from tests.service.test_verbs import settings


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A job whose driver was killed: no end in the journal, and "running" elsewhere."""
    folder = tmp_path / "a"
    verbs.grow(settings(), out=folder, executor=verbs.in_process)
    path = folder / journal.FILE_NAME
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    run_folder.set_state(folder, "running")
    return folder


def states(folder: Path) -> dict[str, str]:
    """Ask everything that knows the state of a job; ``report`` first, as it writes."""
    verbs.report(folder)
    files = ("summary.json", "manifest.json")
    return {
        **{name: json.loads((folder / name).read_text())["state"] for name in files},
        "status": verbs.status(folder).state,
    }


def test_a_killed_job_has_stopped_for_everything_that_tells_it(
    killed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(states(killed).values()) == {"stopped"}
    assert json.loads((killed / "summary.json").read_text())["exit_code"] == 130
    assert verbs.status(killed).exit_code == 130
    assert run(["watch", str(killed), "--quiet"]) == 130
    capsys.readouterr()
    result = verbs.resume(killed, executor=verbs.in_process)
    assert (result.was_over, result.exit_code) == (False, 0)
    assert set(states(killed).values()) == {"complete"}


def test_a_job_with_a_live_writer_is_running_for_everything_that_tells_it(
    killed: Path,
) -> None:
    with lock.hold(killed):
        assert set(states(killed).values()) == {"running"}


def test_a_writer_that_has_been_silent_for_long_is_none(killed: Path) -> None:
    with lock.hold(killed, clock=lambda: time.monotonic() - 10 * lock.STALE_S):
        assert lock.writer(killed).pid == os.getpid()  # pyright: ignore[reportOptionalMemberAccess]
        assert set(states(killed).values()) == {"stopped"}


def broken(_raw: RawData, _cluster: ClusterConfig) -> LocalExecutor:
    def fail(*_: object) -> None:
        raise DataError("label 17 is no class")

    return LocalExecutor(fail)  # pyright: ignore[reportArgumentType]


def test_an_error_that_ends_a_job_is_in_the_manifest(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        verbs.grow(settings(), out=tmp_path / "a", seeds=9, executor=broken)
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert manifest["state"] == verbs.status(tmp_path / "a").state == "failed"

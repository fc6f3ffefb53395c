"""A job whose Ray dies says so, and goes on where it was."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from senn_ray.core.events import RunSubmitted
from senn_ray.service import verbs
from senn_ray.store import journal

pytestmark = pytest.mark.ray
SETTINGS = (
    *("--seeds", "3", "--cluster.max-parallel-runs", "1"),
    *("--train.min-steps", "300", "--train.max-steps", "300"),
)


def _children(parent: int) -> list[tuple[int, str]]:
    """Return the processes that a process has started: their ids and names."""
    listing = subprocess.run(
        ["ps", "-o", "pid=,comm=", "--ppid", str(parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = [line.split(maxsplit=1) for line in listing.stdout.splitlines()]
    return [(int(pid), name) for pid, name in pairs]


def _child(parent: int, name: str) -> int:
    (pid,) = (pid for pid, found in _children(parent) if found == name)
    return pid


@contextmanager
def _frozen_workers(job: int) -> Iterator[None]:
    """Keep the workers of a job from finishing, however fast they are."""
    agent = _child(job, "raylet")
    workers = [pid for pid, name in _children(agent) if name.startswith("ray::")]
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _interrupted(out: Path, victim: str) -> str:
    """Kill a process of Ray under a job; return what the job says last."""
    environment = {name: v for name, v in os.environ.items() if name != "RAY_ADDRESS"}
    environment |= {"RAY_AUTH_MODE": "disabled", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "senn_ray", "grow", "--out", str(out), *SETTINGS]
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as job:
        assert job.stdout is not None
        assert any("✓ senn-0-000" in line for line in job.stdout)
        with _frozen_workers(job.pid):
            os.kill(_child(job.pid, victim), signal.SIGKILL)
            told, error = job.communicate(timeout=120)
    assert job.returncode == 3, error
    assert "Termination" not in told
    return error.strip().splitlines()[-1]


@pytest.mark.slow
def test_a_job_whose_ray_dies_says_how_it_goes_on_and_does(tmp_path: Path) -> None:
    victims = {"raylet": "the agent (raylet)", "gcs_server": "the head (GCS)"}
    folders = [tmp_path / victim for victim in victims]
    # Ray takes its time to notice and to end: both jobs wait at once.
    with ThreadPoolExecutor() as pool:
        lines = list(pool.map(_interrupted, folders, victims))
    for line, who, out in zip(lines, victims.values(), folders, strict=True):
        assert line.startswith(
            f"senn-ray: the private Ray of this job went away: {who}"
        )
        assert line.endswith(f"go on with: senn-ray resume {out}")
        assert verbs.status(out).state == "failed"
    before = journal.read(folders[0])
    assert verbs.resume(folders[0], executor=verbs.in_process).exit_code == 0
    again = [
        e.spec.run_id
        for e in journal.read(folders[0])[len(before) :]
        if isinstance(e, RunSubmitted)
    ]
    assert again == ["senn-0-001", "senn-0-002"]

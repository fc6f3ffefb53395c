import json
import os
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from senn_ray.core.errors import ConfigError
from senn_ray.store import lock

HOLD = """
import sys, time
from pathlib import Path
from senn_ray.store import lock
with lock.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def put(folder: Path, *, pid: int, beat_utc_s: float, **where: str) -> None:
    values = {"pid": pid, "token": "x", "beat_utc_s": beat_utc_s, **where}
    (folder / lock.FILE_NAME).write_text(json.dumps(values))


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_second_writer_is_told_who_writes_and_the_first_is_not_disturbed(
    tmp_path: Path,
) -> None:
    with lock.hold(tmp_path, clock=lambda: 100.0) as check:
        with (
            pytest.raises(ConfigError) as told,
            lock.hold(tmp_path, clock=lambda: 103.0),
        ):
            pass
        check()
    line = str(told.value)
    assert f"is being written by pid {os.getpid()} on {platform.node()}" in line
    assert "(heartbeat 3 s ago)" in line
    assert told.value.exit_code == 2
    assert lock.writer(tmp_path) is None


def test_a_folder_is_free_again_after_its_writer_failed(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock.hold(tmp_path):
        raise KeyError
    with lock.hold(tmp_path) as check:
        check()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path, end: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(ConfigError, match=f"pid {process.pid}"), lock.hold(tmp_path):
        pass
    process.send_signal(end)
    process.communicate()
    left = lock.writer(tmp_path)
    assert left is not None
    assert left.pid == process.pid
    with lock.hold(tmp_path) as check:
        check()


@pytest.mark.parametrize(
    ("pid", "host", "age", "alive"),
    [
        (os.getpid(), platform.node(), 59.0, True),
        (os.getpid(), platform.node(), 61.0, False),
        (dead_pid(), platform.node(), 1.0, False),
        (1, "another-host", 59.0, True),
        (1, "another-host", 61.0, False),
    ],
    ids=["own, fresh", "own, silent", "dead", "far, fresh", "far, silent"],
)
def test_locks_are_stale_without_process_or_heartbeat(
    tmp_path: Path, pid: int, host: str, age: float, alive: bool
) -> None:
    where = {"host": host, "pid_space": lock.pid_space()}
    put(tmp_path, pid=pid, beat_utc_s=1000.0 - age, **where)
    holding = lock.hold(tmp_path, clock=lambda: 1000.0)
    if alive:
        with pytest.raises(ConfigError, match=f"pid {pid} on"), holding:
            pass
    else:
        with holding as check:
            check()


def test_a_process_of_another_container_on_this_host_is_known_by_its_heartbeat(
    tmp_path: Path,
) -> None:
    where = {"host": platform.node(), "pid_space": "pid:[1]"}
    put(tmp_path, pid=dead_pid(), beat_utc_s=1000.0, **where)
    with (
        pytest.raises(ConfigError, match="is being written"),
        lock.hold(tmp_path, clock=lambda: 1059.0),
    ):
        pass
    with lock.hold(tmp_path, clock=lambda: 1061.0) as check:
        check()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_lock_holds_nobody_off(tmp_path: Path, text: str) -> None:
    (tmp_path / lock.FILE_NAME).write_text(text)
    with lock.hold(tmp_path) as check:
        check()


def test_a_writer_that_was_frozen_notices_that_it_lost_the_folder(
    tmp_path: Path,
) -> None:
    with (
        lock.hold(tmp_path, clock=lambda: 0.0) as first,
        lock.hold(tmp_path, clock=lambda: lock.STALE_S + 1) as second,
    ):
        second()
        with pytest.raises(ConfigError, match="taken over"):
            first()
        kept = lock.writer(tmp_path)
    assert kept is not None
    assert kept.beat_utc_s == lock.STALE_S + 1


def test_a_held_folder_shows_signs_of_life(tmp_path: Path) -> None:
    seen, ticks = threading.Event(), iter(range(10**9))

    def clock() -> float:
        tick = next(ticks)
        if tick > 3:
            seen.set()
        return float(tick)

    with lock.hold(tmp_path, clock=clock, beat_s=0.001):
        assert seen.wait(20)
    assert lock.writer(tmp_path) is None


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match=r"cannot write .*another --out"),
        lock.hold(tmp_path / "file" / "run"),
    ):
        pass

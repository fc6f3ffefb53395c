import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from senn_ray.core.errors import ConfigError, Notice
from senn_ray.store import lock

HOLD = """
import sys, time
from pathlib import Path
from senn_ray.store import lock
with lock.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def put(folder: Path, **what: object) -> None:
    """Leave the lock of a process of this machine, but for what is told."""
    here = {
        "host": platform.node(),
        "pid_space": lock.pid_space(),
        "boot_id": lock.boot_id(),
    }
    values = {"pid": os.getpid(), "token": "x", "beat_utc_s": 0.0, "beat_s": 1000.0}
    (folder / lock.FILE_NAME).write_text(json.dumps({**here, **values, **what}))


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def never(_: float) -> None:
    raise AssertionError("this is known without watching")


def now() -> float:
    return 1001.0


def test_a_second_writer_is_told_who_writes_and_the_first_is_not_disturbed(
    tmp_path: Path,
) -> None:
    with lock.hold(tmp_path) as first:
        with pytest.raises(ConfigError) as told, lock.hold(tmp_path, pause=never):
            pass
        first.check()
    line = str(told.value)
    assert f"is being written by pid {os.getpid()} on {platform.node()}" in line
    assert told.value.exit_code == 2
    assert lock.writer(tmp_path) is None


def test_a_folder_is_free_again_after_its_writer_failed(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock.hold(tmp_path):
        raise KeyError
    with lock.hold(tmp_path) as held:
        held.check()


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
    with lock.hold(tmp_path) as held:
        held.check()


@pytest.mark.parametrize(
    ("what", "alive"),
    [
        ({"started": lock._started(os.getpid())}, True),
        ({"started": lock._started(os.getpid()), "beat_s": 940.0}, False),
        ({"pid": dead_pid()}, False),
        ({"started": "1"}, False),
        ({"pid": dead_pid(), "pid_space": "pid:[1]"}, True),
        ({"pid_space": "pid:[1]", "beat_s": 940.0}, False),
    ],
    ids=["own", "own, silent", "dead", "number reused", "container", "silent one"],
)
def test_a_writer_of_this_machine_is_known_by_its_process_or_its_clock(
    tmp_path: Path, what: dict[str, object], alive: bool
) -> None:
    put(tmp_path, **what)
    holding = lock.hold(tmp_path, clock=now, pause=never)
    if alive:
        with pytest.raises(ConfigError, match="is being written by pid"), holding:
            pass
    else:
        with holding as held:
            held.check()


FAR = {"host": "another-host", "boot_id": "another"}
SKEWED = [-86400.0, -90.0, 0.0, 90.0, 86400.0]


@pytest.mark.parametrize("skew_s", SKEWED)
@pytest.mark.parametrize("where", [FAR, {"boot_id": "another"}, {"boot_id": ""}])
def test_a_live_writer_elsewhere_keeps_its_folder_whatever_its_clock_says(
    tmp_path: Path, where: dict[str, object], skew_s: float
) -> None:
    put(tmp_path, beat_utc_s=time.time() + skew_s, **where)
    pauses = list[float]()

    def beats(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 59:
            put(tmp_path, beat_utc_s=time.time() + skew_s, beat_s=1059.0, **where)

    with (
        pytest.warns(Notice, match="watching for 65 s"),
        pytest.raises(ConfigError, match="is being written by pid"),
        lock.hold(tmp_path, clock=now, pause=beats),
    ):
        pass
    assert len(pauses) == 59


@pytest.mark.parametrize("skew_s", SKEWED)
def test_a_writer_elsewhere_that_is_silent_loses_its_folder_whatever_its_clock_says(
    tmp_path: Path, skew_s: float
) -> None:
    put(tmp_path, beat_utc_s=time.time() + skew_s, epoch=7, **FAR)
    pauses = list[float]()
    holding = lock.hold(tmp_path, clock=now, pause=pauses.append)
    with pytest.warns(Notice, match="watching"):
        held = holding.__enter__()
    held.check()
    assert held.epoch == 8
    holding.__exit__(None, None, None)
    assert sum(pauses) > lock.STALE_S


def test_a_folder_that_is_given_back_while_it_is_watched_is_taken(
    tmp_path: Path,
) -> None:
    put(tmp_path, **FAR)

    def gives_back(_: float) -> None:
        (tmp_path / lock.FILE_NAME).unlink()

    with pytest.warns(Notice), lock.hold(tmp_path, pause=gives_back) as held:
        held.check()


def test_force_takes_a_folder_at_once_and_stops_its_writer(tmp_path: Path) -> None:
    with lock.hold(tmp_path) as first:
        with lock.hold(tmp_path, force=True, pause=never) as second:
            second.check()
            with pytest.raises(ConfigError, match=r"taken over by pid .*--force"):
                first.check()
        assert second.epoch == first.epoch + 1


def test_epochs_count_on_from_what_the_folder_knows(tmp_path: Path) -> None:
    with lock.hold(tmp_path, after=lambda: 4) as held:
        assert held.epoch == 5
    put(tmp_path, pid=dead_pid(), epoch=9)
    with lock.hold(tmp_path, after=lambda: 4) as held:
        assert held.epoch == 10


@pytest.mark.parametrize(
    ("age_s", "alive"), [(1.0, True), (-86400.0, True), (3600.0, False)]
)
def test_looks_from_elsewhere_go_by_the_heartbeat(age_s: float, alive: bool) -> None:
    found = lock.Writer(
        pid=1, host="another-host", boot_id="another", token="x", beat_utc_s=1e6 - age_s
    )
    assert found.seems_alive(1e6) is alive


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_lock_holds_nobody_off(tmp_path: Path, text: str) -> None:
    (tmp_path / lock.FILE_NAME).write_text(text)
    with lock.hold(tmp_path) as held:
        held.check()


def test_a_writer_that_was_frozen_notices_that_it_lost_the_folder(
    tmp_path: Path,
) -> None:
    with (
        lock.hold(tmp_path, clock=lambda: 0.0) as first,
        lock.hold(tmp_path, clock=lambda: lock.STALE_S + 1) as second,
    ):
        second.check()
        with pytest.raises(ConfigError, match="taken over"):
            first.check()
        kept = lock.writer(tmp_path)
    assert kept is not None
    assert kept.beat_s == lock.STALE_S + 1


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

"""One writer per run folder: a lock file with process, host and a heartbeat.

A lock is stale when its process is gone from this host, or when it has not beaten for
``STALE_S``: then the next writer takes it over. A writer that was frozen for so long
notices before its next write that the folder is no longer its own, and stops.
"""

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock

from senn_ray.errors import ConfigError

FILE_NAME = "writer.lock"
BEAT_S = 5.0
STALE_S = 60.0
Clock = Callable[[], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """Who writes into a run folder."""

    pid: int
    host: str
    token: str
    """Tells two locks of one process apart."""
    beat_utc_s: float
    """When it last gave a sign of life."""

    def is_alive(self, now: float) -> bool:
        """Tell whether the folder is really being written.

        Args:
            now: Seconds since 1970 (UTC).
        """
        if now - self.beat_utc_s > STALE_S:
            return False
        return self.host != platform.node() or _runs_here(self.pid)


def writer(folder: Path) -> Writer | None:
    """Return who holds a run folder, dead or alive; or nothing.

    Args:
        folder: The run folder.
    """
    try:
        values = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        return Writer(**values)
    except (OSError, ValueError, TypeError):
        return None


@contextlib.contextmanager
def hold(
    folder: Path, *, clock: Clock = time.time, beat_s: float = BEAT_S
) -> Iterator[Callable[[], None]]:
    """Hold a run folder, making it if need be.

    Args:
        folder: The run folder.
        clock: Tells the time.
        beat_s: Seconds between signs of life.

    Yields:
        A check to be made before every write: it raises if the folder was lost.
    """
    ours = _take(folder, clock)
    stop = threading.Event()
    beats = threading.Thread(
        target=_beat, args=(folder, ours, clock, stop, beat_s), daemon=True
    )
    beats.start()
    try:
        yield lambda: _check(folder, ours)
    finally:
        stop.set()
        beats.join()
        _release(folder, ours)


def _take(folder: Path, clock: Clock) -> Writer:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _guard(folder):
            now, other = clock(), writer(folder)
            if other is not None and other.is_alive(now):
                ago = max(now - other.beat_utc_s, 0)
                raise ConfigError(
                    f"{folder} is being written by pid {other.pid} on {other.host} "
                    f"(heartbeat {ago:.0f} s ago); look with: senn-ray status {folder}"
                )
            ours = Writer(
                pid=os.getpid(),
                host=platform.node(),
                token=uuid.uuid4().hex,
                beat_utc_s=now,
            )
            _write(folder, ours)
            return ours
    except OSError as error:
        raise ConfigError(
            f"cannot write {folder} ({error.strerror}); give another --out"
        ) from error


def _beat(
    folder: Path, ours: Writer, clock: Clock, stop: threading.Event, beat_s: float
) -> None:
    while not stop.wait(beat_s):
        # A disk that fails for a moment must not end the signs of life for good.
        with contextlib.suppress(OSError), _guard(folder):
            if _is_ours(folder, ours):
                _write(folder, replace(ours, beat_utc_s=clock()))


def _check(folder: Path, ours: Writer) -> None:
    if not _is_ours(folder, ours):
        other = writer(folder)
        by = f"pid {other.pid} on {other.host}" if other else "somebody"
        raise ConfigError(
            f"{folder} was taken over by {by}, after this process had been silent for "
            f"{STALE_S:.0f} s or its {FILE_NAME} was removed; this one stops"
        )


def _release(folder: Path, ours: Writer) -> None:
    with contextlib.suppress(OSError), _guard(folder):
        if _is_ours(folder, ours):
            (folder / FILE_NAME).unlink()


def _is_ours(folder: Path, ours: Writer) -> bool:
    found = writer(folder)
    return found is not None and found.token == ours.token


def _write(folder: Path, ours: Writer) -> None:
    fresh = folder / f"{FILE_NAME}.new"
    fresh.write_text(json.dumps(asdict(ours)), encoding="utf-8")
    fresh.replace(folder / FILE_NAME)


def _guard(folder: Path) -> FileLock:
    """Let one process at a time read and write the lock; the system frees it."""
    return FileLock(folder / f".{FILE_NAME}.guard")


def _runs_here(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

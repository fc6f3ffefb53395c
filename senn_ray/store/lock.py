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
from typing import Protocol

from filelock import FileLock

from senn_ray.core import files
from senn_ray.core.errors import ConfigError, SennRayError

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


class Cell(Protocol):
    """Where the lock of a run folder is kept."""

    name: str
    """The run folder, for messages."""

    def read(self) -> bytes | None:
        """Return the lock; or nothing."""
        ...

    def write(self, contents: bytes) -> None:
        """Replace the lock in one step."""
        ...

    def clear(self) -> None:
        """Remove the lock."""
        ...

    def guard(self) -> contextlib.AbstractContextManager[object]:
        """Let one process at a time read and write the lock, where that is possible."""
        ...


class FileCell:
    """The lock in a local folder; the system frees its guard when a process ends."""

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._file = folder / FILE_NAME

    def read(self) -> bytes | None:
        """Return the lock; or nothing."""
        try:
            return self._file.read_bytes()
        except OSError:
            return None

    def write(self, contents: bytes) -> None:
        """Replace the lock in one step."""
        files.write_bytes(self._file, contents)

    def clear(self) -> None:
        """Remove the lock."""
        self._file.unlink()

    def guard(self) -> FileLock:
        """Make the folder if need be, and let one process at a time in."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self._file.with_name(f".{FILE_NAME}.guard"))


def writer(place: Path | Cell) -> Writer | None:
    """Return who holds a run folder, dead or alive; or nothing.

    Args:
        place: The run folder, or where its lock is kept.
    """
    text = _cell(place).read()
    try:
        return None if text is None else Writer(**json.loads(text))
    except (ValueError, TypeError):
        return None


@contextlib.contextmanager
def hold(
    place: Path | Cell, *, clock: Clock = time.time, beat_s: float = BEAT_S
) -> Iterator[Callable[[], None]]:
    """Hold a run folder, making it if need be.

    Args:
        place: The run folder, or where its lock is kept.
        clock: Tells the time.
        beat_s: Seconds between signs of life.

    Yields:
        A check to be made before every write: it raises if the folder was lost.
    """
    cell = _cell(place)
    ours = _take(cell, clock)
    stop = threading.Event()
    beats = threading.Thread(
        target=_beat, args=(cell, ours, clock, stop, beat_s), daemon=True
    )
    beats.start()
    try:
        yield lambda: _check(cell, ours)
    finally:
        stop.set()
        beats.join()
        _release(cell, ours)


def _cell(place: Path | Cell) -> Cell:
    return FileCell(place) if isinstance(place, Path) else place


def _take(cell: Cell, clock: Clock) -> Writer:
    try:
        with cell.guard():
            now, other = clock(), writer(cell)
            if other is not None and other.is_alive(now):
                ago = max(now - other.beat_utc_s, 0)
                raise ConfigError(
                    f"{cell.name} is being written by pid {other.pid} on {other.host} "
                    f"(heartbeat {ago:.0f} s ago); look with: senn-ray watch "
                    f"{cell.name}, or end it with: senn-ray stop {cell.name}"
                )
            ours = Writer(
                pid=os.getpid(),
                host=platform.node(),
                token=uuid.uuid4().hex,
                beat_utc_s=now,
            )
            _write(cell, ours)
            # Where there is no guard, the last of two writers at one moment wins.
            _check(cell, ours)
            return ours
    except OSError as error:
        raise ConfigError(
            f"cannot write {cell.name} ({error.strerror}); give another --out"
        ) from error


def _beat(
    cell: Cell, ours: Writer, clock: Clock, stop: threading.Event, beat_s: float
) -> None:
    while not stop.wait(beat_s):
        # A disk that fails for a moment must not end the signs of life for good.
        with contextlib.suppress(OSError, SennRayError), cell.guard():
            if _is_ours(cell, ours):
                _write(cell, replace(ours, beat_utc_s=clock()))


def _check(cell: Cell, ours: Writer) -> None:
    if not _is_ours(cell, ours):
        other = writer(cell)
        by = f"pid {other.pid} on {other.host}" if other else "somebody"
        raise ConfigError(
            f"{cell.name} was taken over by {by}, after this process had been silent "
            f"for {STALE_S:.0f} s or its {FILE_NAME} was removed; this one stops"
        )


def _release(cell: Cell, ours: Writer) -> None:
    with contextlib.suppress(OSError, SennRayError), cell.guard():
        if _is_ours(cell, ours):
            cell.clear()


def _is_ours(cell: Cell, ours: Writer) -> bool:
    found = writer(cell)
    return found is not None and found.token == ours.token


def _write(cell: Cell, ours: Writer) -> None:
    cell.write(json.dumps(asdict(ours)).encode())


def _runs_here(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

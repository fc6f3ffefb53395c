"""One writer per run folder: a lock file with process, host and a heartbeat.

A lock is stale when its process is gone from this host, or when it has not beaten for
``STALE_S``: then the next writer takes it over. A writer that was frozen for so long
notices before its next write that the folder is no longer its own, and stops.

filelock guards the moment of taking; its leases are not the lock itself, because they
need a file system that can create a file exclusively (behind a URI few can), notice a
loss only in their own heartbeat thread (here every write asks), and see that a far
holder is silent only by watching for the whole span (here a resumed job begins at once).
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
from senn_ray.core.errors import ConfigError, SennRayError, from_os

FILE_NAME = "writer.lock"
BEAT_S = 5.0
STALE_S = 60.0
Clock = Callable[[], float]


def pid_space() -> str:
    """Name the processes that see each other; containers of one host may not."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """The process that writes into a run folder."""

    pid: int
    host: str
    pid_space: str = ""
    token: str
    """Tells two locks of one process apart."""
    beat_utc_s: float
    """Its last sign of life."""

    def is_alive(self, now: float) -> bool:
        """Tell whether the folder is really being written at this time (UTC, seconds)."""
        if now - self.beat_utc_s > STALE_S:
            return False
        if (self.host, self.pid_space) != (platform.node(), pid_space()):
            return True  # This process cannot look, so the heartbeat counts.
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # It is there, and another user's.
            return True
        return True


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
        except (FileNotFoundError, NotADirectoryError):
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
    """Return the process that holds a run folder, dead or alive; or nothing."""
    text = (FileCell(place) if isinstance(place, Path) else place).read()
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
        clock: Tells the time (UTC, seconds).
        beat_s: Seconds between signs of life.

    Yields:
        A check to be made before every write: it raises if the folder was lost.
    """
    cell = FileCell(place) if isinstance(place, Path) else place
    ours = _take(cell, clock)
    over = threading.Event()

    def is_ours() -> bool:
        found = writer(cell)
        return found is not None and found.token == ours.token

    def check() -> None:
        if is_ours():
            return
        other = writer(cell)
        by = f"pid {other.pid} on {other.host}" if other else "another process"
        raise ConfigError(
            f"{cell.name} was taken over by {by}, after this process had been silent "
            f"for {STALE_S:.0f} s or its {FILE_NAME} was removed; this one stops"
        )

    def beat() -> None:
        while not over.wait(beat_s):
            # A disk that fails for a moment must not end the signs of life for good.
            with contextlib.suppress(OSError, SennRayError), cell.guard():
                if is_ours():
                    _write(cell, replace(ours, beat_utc_s=clock()))

    check()  # Where there is no guard, the last of two writers at one moment wins.
    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield check
    finally:
        over.set()
        heart.join()
        with contextlib.suppress(OSError, SennRayError), cell.guard():
            if is_ours():
                cell.clear()


def _take(cell: Cell, clock: Clock) -> Writer:
    """Write the lock of this process, unless another one is alive."""
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
                pid_space=pid_space(),
                token=uuid.uuid4().hex,
                beat_utc_s=now,
            )
            _write(cell, ours)
            return ours
    except OSError as error:
        raise from_os(
            error, f"cannot write {cell.name}", "give another --out"
        ) from error


def _write(cell: Cell, ours: Writer) -> None:
    cell.write(json.dumps(asdict(ours)).encode())

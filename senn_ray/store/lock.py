"""One writer per run folder: a lock file with process, machine and a heartbeat.

On the machine of the writer its process and one clock, that of the machine since its
boot, tell whether it lives. From elsewhere nothing but its heartbeat does: clocks of two
machines are never compared, so whoever wants the folder watches the lock for longer than
a writer may be silent. A writer that was frozen for so long notices before its next write
that the folder is no longer its own, and stops; what it had begun to write is told by its
epoch (``journal.py``).

filelock guards the moment of taking; its leases are not the lock itself, because they
need a file system that can create a file exclusively (behind a URI few can), and notice a
loss only in their own heartbeat thread (here every write asks).
"""

import contextlib
import json
import os
import platform
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from filelock import FileLock

from senn_ray.core import files
from senn_ray.core.errors import ConfigError, Notice, SennRayError, from_os

FILE_NAME = "writer.lock"
BEAT_S = 5.0
STALE_S = 60.0
LOOK_S = 1.0
SHOWN_S = 300.0
"""What looks from another machine takes for a sign of life: clocks may differ."""
Clock = Callable[[], float]


def pid_space() -> str:
    """Name the processes that see each other; containers of one host may not."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def boot_id() -> str:
    """Name this machine from its boot to its end; empty where nothing tells."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """The process that writes into a run folder."""

    pid: int
    host: str
    pid_space: str = ""
    boot_id: str = ""
    started: str = ""
    """When its process began, which tells it from a later one of the same number."""
    token: str
    """Tells two locks of one process apart."""
    epoch: int = 0
    """Writers of a folder are counted up."""
    beat_utc_s: float
    """Its last sign of life, for people."""
    beat_s: float = 0.0
    """The same, in seconds of the clock that its machine has had since its boot."""

    def is_alive(self, clock: Clock = time.monotonic) -> bool | None:
        """Tell whether the folder is being written; nothing, if only watching can tell.

        Args:
            clock: Tells the seconds since the boot of this machine.
        """
        if not self.boot_id or self.boot_id != boot_id():
            return None
        if clock() - self.beat_s > STALE_S:
            return False
        if self.pid_space != pid_space():
            return True  # This process cannot look, so the heartbeat counts.
        return _is_running(self.pid, self.started)

    def seems_alive(self, now: float) -> bool:
        """Tell the same at once at a time (UTC, seconds), for people: it may be a guess."""
        known = self.is_alive()
        return now - self.beat_utc_s <= SHOWN_S if known is None else known


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """A run folder that is held."""

    epoch: int
    """Counted up from writer to writer."""
    check: Callable[[], None]
    """To be called before every write: it raises if the folder was lost."""


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
    return _parsed((FileCell(place) if isinstance(place, Path) else place).read())


@contextlib.contextmanager
def hold(
    place: Path | Cell,
    *,
    after: Callable[[], int] = lambda: 0,
    force: bool = False,
    clock: Clock = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
    beat_s: float = BEAT_S,
) -> Iterator[Hold]:
    """Hold a run folder, making it if need be.

    Args:
        place: The run folder, or where its lock is kept.
        after: Tells the last epoch that the folder knows.
        force: Whether to take it from a writer that may be alive. That one stops before
            its next write; until then both believe that the folder is theirs.
        clock: Tells the seconds since the boot of this machine.
        pause: Waits so many seconds.
        beat_s: Seconds between signs of life.

    Yields:
        The epoch of this writer, and the check to be made before every write.
    """
    cell = FileCell(place) if isinstance(place, Path) else place
    ours = _take(cell, after, force=force, clock=clock, pause=pause)
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
            f"{cell.name} was taken over by {by}: this process had been silent for "
            f"{STALE_S:.0f} s, or that one was told to (--force), or {FILE_NAME} was "
            "removed; this one stops"
        )

    def beat() -> None:
        while not over.wait(beat_s):
            # A disk that fails for a moment must not end the signs of life for good.
            with contextlib.suppress(OSError, SennRayError), cell.guard():
                if is_ours():
                    _write(cell, ours, clock)

    check()  # Where there is no guard, the last of two writers at one moment wins.
    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield Hold(epoch=ours.epoch, check=check)
    finally:
        over.set()
        heart.join()
        with contextlib.suppress(OSError, SennRayError), cell.guard():
            if is_ours():
                cell.clear()


def _take(
    cell: Cell,
    after: Callable[[], int],
    *,
    force: bool,
    clock: Clock,
    pause: Callable[[float], None],
) -> Writer:
    """Write the lock of this process, unless another one is alive."""
    silent: bytes | None = None
    try:
        while True:
            with cell.guard():
                text = cell.read()
                other = _parsed(text)
                alive = other is not None and other.is_alive(clock)
                if other is None or force or alive is False or text == silent:
                    epoch = max(after(), other.epoch if other else 0) + 1
                    ours = _this_process(epoch)
                    _write(cell, ours, clock)
                    return ours
            if alive:
                raise _busy(cell, other)
            # Not guarded, or the other one could not show that it lives.
            silent = _watched(cell, text, other, pause)
    except OSError as error:
        raise from_os(
            error, f"cannot write {cell.name}", "give another --out"
        ) from error


def _watched(
    cell: Cell, text: bytes | None, other: Writer, pause: Callable[[float], None]
) -> bytes | None:
    """Watch a lock for longer than a writer may be silent; return it if it stood still."""
    span_s = STALE_S + BEAT_S
    warnings.warn(
        f"{cell.name} was last written by pid {other.pid} on {other.host}; from here "
        f"only its heartbeat tells whether it still does: watching for {span_s:.0f} s "
        "(--force takes the folder at once; if that process lives, it is stopped)",
        Notice,
        stacklevel=2,
    )
    for _ in range(int(span_s / LOOK_S)):
        pause(LOOK_S)
        if (now := cell.read()) != text:
            found = _parsed(now)
            if found is None:
                return None  # It was given back.
            raise _busy(cell, found)
    return text


def _busy(cell: Cell, other: Writer) -> ConfigError:
    return ConfigError(
        f"{cell.name} is being written by pid {other.pid} on {other.host}; look with: "
        f"senn-ray watch {cell.name}, or end it with: senn-ray stop {cell.name}"
    )


def _this_process(epoch: int) -> Writer:
    return Writer(
        pid=os.getpid(),
        host=platform.node(),
        pid_space=pid_space(),
        boot_id=boot_id(),
        started=_started(os.getpid()) or "",
        token=uuid.uuid4().hex,
        epoch=epoch,
        beat_utc_s=0.0,
    )


def _is_running(pid: int, started: str) -> bool:
    """Tell whether a process of this machine still runs, and is not a later one."""
    found = _started(pid)
    if found is not None:
        return found == started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # It is there, and another user's.
        return True
    return True


def _started(pid: int) -> str | None:
    """Return when a process began; empty if it has ended, nothing if it is not shown."""
    try:
        # The name of a program may hold anything, so what follows it is counted.
        values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "" if values[0] in {"Z", "X"} else values[19]


def _parsed(text: bytes | None) -> Writer | None:
    try:
        return None if text is None else Writer(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _write(cell: Cell, ours: Writer, clock: Clock) -> None:
    now = replace(ours, beat_utc_s=time.time(), beat_s=clock())
    cell.write(json.dumps(asdict(now)).encode())

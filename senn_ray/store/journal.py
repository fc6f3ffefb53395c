"""The journal: every event of a job, one JSON line each, append-only.

An event is on the disk before anything acts on it, so the journal is the truth: every
table and every number of a report can be rebuilt from it. Signs of life
(RunProgressed, CapacityChanged) are not kept.

A line is ``{"writer": EPOCH, "event": NAME, "utc_s": SECONDS, "version": VERSION,
"data": {...}}``; ``data`` has the fields of the class NAME in ``senn_ray.core.events``.
Lines of earlier versions (those of the first one do not name it) are brought to the
present form on reading.

Nothing that was written is ever written over. Writers are counted up: a line that one
began before it was replaced, and that arrives behind those of the next one, is known by
its epoch. Readers skip it, as they do a torn line, say so, and keep the rest.
"""

import json
import os
import re
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter

from senn_ray.config import without_removed
from senn_ray.core.errors import DataError, Notice, ResourceError
from senn_ray.core.events import (
    CapacityChanged,
    Event,
    JobResumed,
    RunBegun,
    RunFinished,
    RunProgressed,
    RunSubmitted,
    TestOpened,
)
from senn_ray.core.names import plain

FILE_NAME = "journal.jsonl"
VERSION = 2
MOST_NAMED = 5
_WRITER = re.compile(rb'^\{"writer": (\d{1,9}),', flags=re.MULTILINE)
SETTINGS = {"JobStarted": "config", "RunSubmitted": "spec"}
"""Where events have settings, by section."""
_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind) for kind in get_args(Event)
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """How far a journal has been read."""

    offset: int = 0
    lines: int = 0
    writer: int = 0
    """The epoch of the newest writer so far."""


class Journal:
    """Append events to a file; each one is on the disk when ``append`` returns."""

    def __init__(
        self,
        path: Path,
        *,
        writer: int = 0,
        clock: Callable[[], float] = time.time,
        guard: Callable[[], None] | None = None,
        copy: Callable[[bytes], None] | None = None,
    ) -> None:
        """Open a journal, or begin one.

        Args:
            path: The file; a torn last line is cut off.
            writer: The epoch of this writer.
            clock: Tells the time.
            guard: Is called before every write; raises if it must not happen.
            copy: Keeps every line elsewhere too, before anything acts on it.
        """
        self._path, self._writer, self._clock = path, writer, clock
        self._guard = guard
        self._copy = copy
        self._is_torn = False
        # Whatever happens between the guard and a write, it lands behind what is there.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        _drop_torn_line(self._file)

    def append(self, event: Event) -> None:
        """Write one event and force it to the disk. Signs of life are skipped."""
        if isinstance(event, RunProgressed | CapacityChanged):
            return
        if self._guard is not None:
            self._guard()
        if not self._path.exists():
            raise ResourceError(
                f"{self._path} is gone: another program removed it, such as a cleaner "
                "of caches; a far folder has all that is finished, and senn-ray resume "
                "goes on from there"
            )
        line = _encode(event, self._clock(), self._writer)
        try:
            # A job whose disk was full for a moment still has its end to tell.
            _write_all(self._file, b"\n" + line if self._is_torn else line)
        except BaseException:
            self._is_torn = True
            raise
        self._is_torn = False
        os.fsync(self._file)
        if self._copy is not None:
            self._copy(line)

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def read(path: Path) -> list[Event]:
    """Read all events of a journal, or of the run folder it lies in."""
    return [event for _, event in read_timed(path)]


def read_timed(path: Path) -> list[tuple[float, Event]]:
    """Read all events of a journal, each with its time in seconds since 1970 (UTC)."""
    return read_on(path, Mark())[0]


def read_on(path: Path, mark: Mark) -> tuple[list[tuple[float, Event]], Mark]:
    """Read the events of a journal that came after a mark, each with its time.

    Returns:
        The events, and how far it has been read now. Lines that are torn, or of a
        writer that had been replaced, are left out with a ``Notice``; a torn last line
        is not complete yet.

    Raises:
        DataError: if there is no journal, or nothing in it can be read.
    """
    path = path / FILE_NAME if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"{path}: no journal here; give the folder of a run")
    with path.open("rb") as file:
        file.seek(mark.offset)
        # Text after the last newline was never completed, or is being written.
        *lines, torn = (text := file.read()).split(b"\n")
    events, skipped, writer = list[tuple[float, Event]](), list[str](), mark.writer
    for number, line in enumerate(lines, mark.lines + 1):
        try:
            values = json.loads(line)
            by = int(values.get("writer", 0))
            if by >= writer:
                events.append(_decode(values, path))
                writer = by
            else:
                skipped.append(f"{number} (of a writer that had been replaced)")
        except (AttributeError, ValueError, KeyError, TypeError) as error:
            skipped.append(f"{number} ({type(error).__name__})")
    if skipped and not events and not mark.offset:
        raise DataError(
            f"{path}: damaged journal: no line of it can be read, first {skipped[0]}; "
            "restore the file"
        )
    if skipped:
        more = ", ..." if skipped[MOST_NAMED:] else ""
        warnings.warn(
            f"{path}: {len(skipped)} of {len(lines)} lines are torn or foreign and were "
            f"skipped: line {', '.join(skipped[:MOST_NAMED])}{more}",
            Notice,
            stacklevel=2,
        )
    end = mark.offset + len(text) - len(torn)
    return events, Mark(offset=end, lines=mark.lines + len(lines), writer=writer)


def last_writer(folder: Path) -> int:
    """Return the epoch of the newest writer of a run folder; 0, if there was none."""
    path = folder / FILE_NAME
    return newest_epoch(path.read_bytes()) if path.is_file() else 0


def newest_epoch(text: bytes) -> int:
    """Return the epoch of the newest writer in the text of a journal."""
    return max((int(epoch) for epoch in _WRITER.findall(text)), default=0)


def _encode(event: Event, utc_s: float, writer: int) -> bytes:
    name = type(event).__name__
    data = _ADAPTERS[name].dump_python(event, mode="json")
    line = {"writer": writer, "event": name, "utc_s": utc_s, "version": VERSION}
    return json.dumps({**line, "data": data}).encode() + b"\n"


def _upgraded(name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Bring the data of an event of version 1 to the present form."""
    if name == "RunSubmitted":
        spec = data["spec"]
        return {"spec": spec | _identity(spec, spec["model"]["hidden"])}
    if name == "RunFinished":
        record = data["record"]
        record = record | _identity(record, record["hidden"])
        # Runs of several seeds could share a worker: each had the clock of all of them,
        # and its own part in the cost. Alone, both agree but for microseconds.
        part_s = record["cost"]["device_s"]
        if record["workers"] == 1 and part_s < 0.9 * record["wall_s"]:
            record["wall_s"] = part_s
        return {"record": record}
    return data


def _identity(run: dict[str, Any], hidden: list[int]) -> dict[str, Any]:
    """Say what a study of version 1 was, if it was another number in disguise."""
    if run["arm"] in {"grid", "confirm"}:
        return {"study": 0, "width": hidden[0]}
    if run["arm"] in {"senn", "gradmax", "no_growth_at_final"}:
        return {"study": 0}  # the examples per class, which the run has anyway
    return {}


def _decode(values: dict[str, Any], path: Path) -> tuple[float, Event]:
    """Make the event of a line; any other than the present form raises.

    Raises:
        DataError: if a later version wrote it, which may mean something else by it; or
            if it names a run by a path.
    """
    version = values.get("version", 1)
    if version > VERSION:
        raise DataError(
            f"{path} was written by a later senn-ray (journal version {version}, here "
            f"{VERSION}): use that one"
        )
    name, data = values["event"], values["data"]
    if version < VERSION:
        data = _upgraded(name, data)
    # A setting may go between two versions of journals.
    if settings := SETTINGS.get(name):
        data = {**data, settings: without_removed(data[settings])}
    event = _ADAPTERS[name].validate_python(data)
    for run_id in _named(event):
        try:
            plain(run_id)
        except DataError as error:
            raise DataError(f"{path}: {error}; this is no journal of a job") from error
    return float(values["utc_s"]), event


def _named(event: Event) -> Iterable[str]:
    """List the names of runs that an event brings with it: folders are called so."""
    match event:
        case RunSubmitted(spec=run) | RunFinished(record=run):
            return [run.run_id]
        case RunBegun(run_id=run_id):
            return [run_id]
        case TestOpened(run_ids=run_ids):
            return run_ids
        case JobResumed(resubmitted=resubmitted, lost_device_s=lost):
            return [*resubmitted, *lost]
        case _:
            return []


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _drop_torn_line(file: int) -> None:
    size = os.fstat(file).st_size
    text = os.pread(file, size, 0)
    keep = text.rfind(b"\n") + 1
    if keep < size:
        os.ftruncate(file, keep)

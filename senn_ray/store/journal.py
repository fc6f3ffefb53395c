"""The journal: every event of a job, one JSON line each, append-only.

An event is on the disk before anything acts on it, so the journal is the truth: every
table and every number of a report can be rebuilt from it. Signs of life
(RunProgressed) are not kept.

A line is ``{"event": NAME, "utc_s": SECONDS, "version": VERSION, "data": {...}}``;
``data`` has the fields of the class NAME in ``senn_ray.core.events``. Lines of earlier
versions (those of the first one do not name it) are brought to the present form on
reading.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from senn_ray.config import without_removed
from senn_ray.core.errors import DataError
from senn_ray.core.events import Event, RunProgressed

FILE_NAME = "journal.jsonl"
VERSION = 2
_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind) for kind in get_args(Event)
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """How far a journal has been read."""

    offset: int = 0
    lines: int = 0


class Journal:
    """Append events to a file; each one is on the disk when ``append`` returns."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.time,
        guard: Callable[[], None] | None = None,
        copy: Callable[[bytes], None] | None = None,
    ) -> None:
        """Open a journal, or begin one.

        Args:
            path: The file; a torn last line is cut off.
            clock: Tells the time.
            guard: Is called before every write; raises if it must not happen.
            copy: Keeps every line elsewhere too, before anything acts on it.
        """
        self._clock = clock
        self._guard = guard
        self._copy = copy
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        _drop_torn_line(self._file)

    def append(self, event: Event) -> None:
        """Write one event and force it to the disk. Signs of life are skipped."""
        if isinstance(event, RunProgressed):
            return
        if self._guard is not None:
            self._guard()
        line = _encode(event, self._clock())
        end = os.lseek(self._file, 0, os.SEEK_END)
        try:
            _write_all(self._file, line)
            os.fsync(self._file)
            if self._copy is not None:
                self._copy(line)
        except BaseException:
            # Nothing acts on this event, and half a line would damage the next one: a
            # job whose disk was full for a moment still has its end to tell.
            os.ftruncate(self._file, end)
            os.lseek(self._file, end, os.SEEK_SET)
            raise

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
        The events, and how far it has been read now; a torn last line is left out.

    Raises:
        DataError: if there is no journal, or a line before the last is damaged.
    """
    path = path / FILE_NAME if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"{path}: no journal here; give the folder of a run")
    with path.open("rb") as file:
        file.seek(mark.offset)
        # Text after the last newline was never completed, or is being written.
        *lines, torn = (text := file.read()).split(b"\n")
    events = [
        _decode(line, path=path, number=n)
        for n, line in enumerate(lines, mark.lines + 1)
    ]
    end = mark.offset + len(text) - len(torn)
    return events, Mark(offset=end, lines=mark.lines + len(lines))


def _encode(event: Event, utc_s: float) -> bytes:
    name = type(event).__name__
    data = _ADAPTERS[name].dump_python(event, mode="json")
    line = json.dumps({"event": name, "utc_s": utc_s, "version": VERSION, "data": data})
    return line.encode() + b"\n"


def _upgraded(name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Bring the data of an event of version 1 to the present form."""
    if name == "JobStarted":
        return {**data, "config": without_removed(data["config"])}
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


def _decode(line: bytes, *, path: Path, number: int) -> tuple[float, Event]:
    try:
        values = json.loads(line)
        name = values["event"]
        data = values["data"]
        if values.get("version", 1) < VERSION:
            data = _upgraded(name, data)
        event = _ADAPTERS[name].validate_python(data)
        return float(values["utc_s"]), event
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise DataError(
            f"{path}:{number}: damaged journal line ({type(error).__name__}); "
            "restore the file, or cut it before this line"
        ) from error


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _drop_torn_line(file: int) -> None:
    size = os.fstat(file).st_size
    text = os.pread(file, size, 0)
    keep = text.rfind(b"\n") + 1
    os.ftruncate(file, keep)
    os.lseek(file, keep, os.SEEK_SET)

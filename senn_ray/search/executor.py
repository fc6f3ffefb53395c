"""Executors: where runs are carried out. The coordinator knows only this protocol.

A conformance suite that every executor passes is in ``tests/search/executor_suite.py``.
"""

import dataclasses
import queue
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, Self

from senn_ray.core.errors import ConfigError, ResourceError, from_os
from senn_ray.core.events import (
    CapacityChanged,
    RunBegun,
    RunFinished,
    RunProgressed,
    StopRequested,
)
from senn_ray.core.records import Cost, Progress, RunRecord, RunSpec, blank_record

_SHORT_OF_MEMORY = re.compile(
    "out of memory|OutOfMemory|low on memory|allocate memory|MemoryError|Unable to alloc"
)
_FEWER_BYTES = (
    "(short of memory; counted as failed, not as slow: lower --train.batch-size, for all "
    "arms alike, or --model.max-hidden)"
)

_OF_MACHINES = (ResourceError, ConfigError)
Report = RunBegun | RunProgressed | RunFinished | CapacityChanged | StopRequested
OnProgress = Callable[[Progress], None]
RunFunction = Callable[[RunSpec, OnProgress], RunRecord]


class Executor(Protocol):
    """Carry out runs and report on them; every run gets exactly one RunFinished."""

    @property
    def capacity(self) -> int:
        """How many runs may be in flight."""
        ...

    @property
    def where(self) -> str:
        """Where runs execute, for people: ``local Ray, 2 CPUs``."""
        ...

    def submit(self, spec: RunSpec) -> None:
        """Start a run, or queue it; never block for it."""
        ...

    def wait(self) -> list[Report]:
        """Block until something happened to a run in flight, and tell what.

        Returns an empty list at once if nothing is in flight. A run that raises
        becomes a RunFinished with a failed record, unless it is not to blame
        (``not_its_own``): that is no outcome of the run, so it is raised.
        """
        ...

    def close(self) -> None:
        """Abandon what is in flight and release everything. May be called twice."""
        ...


def not_its_own(error: BaseException) -> ResourceError | None:
    """Tell a failure of disks, networks and limits from one of the run that met it.

    Returns:
        What to tell the user; nothing if the run itself failed, which counts.
    """
    if isinstance(error, ResourceError):
        return error
    if not isinstance(error, OSError):
        return None
    found = from_os(error)
    # What may not be written here may be elsewhere; what is missing is data.
    return ResourceError(str(found)) if isinstance(found, _OF_MACHINES) else None


def explained(error: str) -> str:
    """Add what to do to an error, on one line, that says that memory was short."""
    short = _SHORT_OF_MEMORY.search(error)
    return f"{error} {_FEWER_BYTES}" if short else error


def failed_record(spec: RunSpec, error: str, *, wall_s: float = 0.0) -> RunRecord:
    """Describe a run that died, after so many seconds: it counts, and reaches nothing."""
    return dataclasses.replace(
        blank_record(spec),
        wall_s=wall_s,
        cost=Cost(device_s=wall_s * spec.workers),
        error=explained(error),
    )


class _AbandonedError(Exception):
    """Unwind a run whose executor was closed."""


class LocalExecutor:
    """Carry out runs one after the other in this process.

    A single thread works, so that progress is reported while a run is under way and
    an interrupt reaches the waiting thread.
    """

    capacity = 1
    where = "this process, one run at a time"

    def __init__(self, run: RunFunction) -> None:
        self._run = run
        self._reports: queue.SimpleQueue[Report | ResourceError] = queue.SimpleQueue()
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._failure: ResourceError | None = None
        """What no run is to blame for: raised when all before it has been told."""
        self._in_flight = 0
        self._closed = False

    def __enter__(self) -> Self:
        """Return the executor."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the executor."""
        self.close()

    def submit(self, spec: RunSpec) -> None:
        """Queue a run."""
        self._in_flight += 1
        self._thread.submit(self._carry_out, spec)

    def wait(self) -> list[Report]:
        """Block for a report; return an empty list if nothing is in flight."""
        if self._in_flight == 0:
            return []
        reports = list[Report]()
        while self._failure is None and not (reports and self._reports.empty()):
            found = self._reports.get()
            if isinstance(found, ResourceError):
                self._failure = found
            else:
                reports.append(found)
        if self._failure is not None and not reports:
            raise self._failure
        self._in_flight -= sum(isinstance(r, RunFinished) for r in reports)
        return reports

    def close(self) -> None:
        """Drop queued runs; the present one stops at its next sign of life."""
        self._closed = True
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _carry_out(self, spec: RunSpec) -> None:
        if self._closed:
            return
        started = time.monotonic()
        self._reports.put(RunBegun(run_id=spec.run_id, workers=spec.workers))
        try:
            record = self._run(spec, self._report)
        except _AbandonedError:
            return
        except Exception as error:  # noqa: BLE001 - one bad run must not stop the others
            if (why := not_its_own(error)) is not None:
                self._reports.put(why)
                return
            text = f"{type(error).__name__}: {error}"
            record = failed_record(spec, text, wall_s=time.monotonic() - started)
        self._reports.put(RunFinished(record=record))

    def _report(self, progress: Progress) -> None:
        if self._closed:
            raise _AbandonedError
        self._reports.put(RunProgressed(progress=progress))

"""An executor that also reports when the job should end early."""

from collections.abc import Callable

from senn_ray.core.events import StopRequested
from senn_ray.core.records import RunSpec
from senn_ray.search.executor import Executor, Report

Stop = Callable[[], StopRequested | None]


class Stoppable:
    """Pass everything on; after every report, ask whether the job should end early.

    A request is reported once, and before what it came with: so the room that a
    finished run leaves stays empty.
    """

    def __init__(self, executor: Executor, stop: Stop) -> None:
        self._executor = executor
        self._stop = stop
        self._stopped = False

    @property
    def capacity(self) -> int:
        """How many runs may be in flight."""
        return self._executor.capacity

    @property
    def where(self) -> str:
        """Where runs execute, for people."""
        return self._executor.where

    def submit(self, spec: RunSpec) -> None:
        """Start a run, or queue it."""
        self._executor.submit(spec)

    def wait(self) -> list[Report]:
        """Block until something happened, and tell what."""
        reports = self._executor.wait()
        request = None if self._stopped else self._stop()
        self._stopped = self._stopped or request is not None
        return reports if request is None else [request, *reports]

    def close(self) -> None:
        """Close the executor."""
        self._executor.close()

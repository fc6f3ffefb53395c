"""What ends a job early: a request, a budget, or a failure that all its runs share."""

import re
import time
from collections.abc import Callable, Sequence

from senn_ray.config import BudgetConfig
from senn_ray.core.errors import DataError, ResourceError
from senn_ray.core.events import (
    Event,
    JobEnded,
    JobResumed,
    RunBegun,
    RunFinished,
    StopRequested,
)
from senn_ray.core.numbers import significant
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.search.attempts import elapsed_s, seconds_lost
from senn_ray.search.executor import Executor, Report
from senn_ray.search.plan import Plan

HOUR_S = 3600.0
Stop = Callable[[], StopRequested | None]
_KINDS = {kind.__name__: kind for kind in (DataError, ResourceError)}
_REPEATED = re.compile(rf"(?:^|: )({'|'.join(_KINDS)}): (.*)", flags=re.DOTALL)


class Meter:
    """Add up device-seconds and the time that drivers have worked.

    Runs in flight count with the time since they began, so a job stops submitting before
    its budget is used up by what it has started; waiting for workers is free. So do those that
    ended with their driver, up to its last sign of life.
    """

    def __init__(
        self,
        limits: BudgetConfig,
        before: Sequence[tuple[float, Event]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin where a journal ends.

        Args:
            limits: The budget.
            before: What ``journal.read_timed`` gave.
            clock: Tells the time.
        """
        self._limits = limits
        self._clock = clock
        self._begun = clock()
        self._wall_s = elapsed_s(before, now=None)
        records = [e.record for _, e in before if isinstance(e, RunFinished)]
        self._device_s = sum(map(_device_s, records)) + _lost_s(before)
        self._flying: dict[str, tuple[float, int]] = {}

    def observe(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, RunBegun):
            self._flying[event.run_id] = (self._clock(), event.workers)
        elif isinstance(event, RunFinished):
            self._flying.pop(event.record.run_id, None)
            self._device_s += _device_s(event.record)

    def exceeded(self) -> StopRequested | None:
        """Return the request to stop, once a limit is reached."""
        now = self._clock()
        flying = sum((now - since) * size for since, size in self._flying.values())
        used = {
            "device_hours": (self._device_s + flying) / HOUR_S,
            "wall_hours": (self._wall_s + now - self._begun) / HOUR_S,
        }
        for name, hours in used.items():
            limit = getattr(self._limits, name)
            if limit is not None and hours >= limit:
                detail = f"budget.{name} {limit:g} is used up ({significant(hours, 3)})"
                return StopRequested(why="budget", detail=detail)
        return None


def exhausted(events: Sequence[Event]) -> str | None:
    """Say which budget ended a job, if one did.

    Args:
        events: What ``journal.read`` gave.
    """
    kept = [e for e in events if isinstance(e, StopRequested | JobEnded)]
    if not kept or not isinstance(kept[-1], JobEnded) or kept[-1].state != "budget":
        return None
    asked = [event.detail for event in kept if isinstance(event, StopRequested)]
    return asked[-1] if asked else None


def _lost_s(before: Sequence[tuple[float, Event]]) -> float:
    """Add up what was in flight whenever a driver ended.

    The event of a continuation has it for the drivers before; it is not
    written down yet for the last one.
    """
    resumed = [event for _, event in before if isinstance(event, JobResumed)]
    noted = sum(sum(event.lost_device_s.values()) for event in resumed)
    return noted + sum(seconds_lost(before).values())


def _device_s(record: RunRecord) -> float:
    return record.cost.device_s + record.cost.wasted_device_s


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


def raise_if_shared(plan: Plan, event: Event) -> None:
    """End a job at the first run that fails for a reason that all runs share.

    It is a ``DataError`` or a ``ResourceError``, in the words of the run. The cells of a
    scan have data of their own, so there the others go on after the former.
    """
    if not isinstance(event, RunFinished) or event.record.state != "failed":
        return
    found = _REPEATED.search(event.record.error or "")
    if found is None:
        return
    kind, said = _KINDS[found.group(1)], found.group(2)
    if kind is ResourceError or plan.verb != "scan":
        raise kind(f"{said} ({event.record.run_id}; all runs would fail)")

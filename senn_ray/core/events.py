"""Events: what happens to a job, as the journal stores it and the console shows it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from senn_ray.core.records import Progress, RunRecord, RunSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class JobStarted:
    """A job begins: its verb, settings and frozen plan."""

    verb: str
    config: dict[str, Any]
    versions: dict[str, str]
    where: str
    """Where runs execute, for people: ``local Ray, 2 CPUs``."""
    data_notes: tuple[str, ...] = ()
    """What was made of the data, one line each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobResumed:
    """A job goes on after its driver ended; its settings are those of the beginning.

    They may have been extended: then more runs follow, under another protocol.
    """

    versions: dict[str, str]
    where: str
    resubmitted: tuple[str, ...]
    """Runs that were in flight, or failed: they start again, with the same specification."""
    lost_device_s: dict[str, float] = field(default_factory=dict)
    """What those in flight had used, by the clock of the journal; by run."""
    extended: dict[str, Any] = field(default_factory=dict)
    """Settings that were raised, and to what."""
    protocol_id: str = ""
    """The protocol from here on; empty if it is the old one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSubmitted:
    """A run was handed to the executor; again, if the driver ended before it did."""

    spec: RunSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class RunBegun:
    """A run is being carried out: until then it waited, for free, for its workers."""

    run_id: str
    workers: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class CapacityChanged:
    """Nodes have come or gone: so many runs may be in flight now. Not kept."""

    capacity: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RunProgressed:
    """A run shows a sign of life. Not kept in the journal."""

    progress: Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFinished:
    """A run ended: complete, diverged or failed."""

    record: RunRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetLocked:
    """The targets of a comparison are fixed from the self-expanding runs."""

    val_loss: float
    max_params: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TestOpened:
    """Test data is read, once, for these runs."""

    __test__: ClassVar[bool] = False  # Not a test, whatever pytest thinks.
    run_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StopRequested:
    """No run starts any more; the job ends when those in flight have finished."""

    why: Literal["asked", "budget"]
    detail: str = ""
    """Which budget is used up, for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobEnded:
    """A job is over; nothing follows, unless it is resumed."""

    state: str
    exit_code: int


Event = (
    JobStarted
    | JobResumed
    | RunSubmitted
    | RunBegun
    | CapacityChanged
    | RunProgressed
    | RunFinished
    | TargetLocked
    | TestOpened
    | StopRequested
    | JobEnded
)


def end_of(events: Iterable[Event], *, alive: bool) -> JobEnded:
    """Tell how a job stands, from its journal and from whether it has a live writer.

    Whatever shows or keeps the state of a job asks here.

    Returns:
        Its last end, if nothing followed it; else the state ``running``, or ``stopped``
        (with the exit code of an interrupted job) if its driver has gone.
    """
    last: JobEnded | None = None
    for event in events:
        if isinstance(event, JobEnded | JobResumed):
            last = event if isinstance(event, JobEnded) else None
    if last is not None:
        return last
    if alive:
        return JobEnded(state="running", exit_code=0)
    return JobEnded(state="stopped", exit_code=130)


def outcomes(events: Iterable[Event]) -> list[RunRecord]:
    """Return the last attempt of every run that has ended, in the order they ended.

    Args:
        events: What happened, in order. A run that is attempted again has not ended.
    """
    found: dict[str, RunRecord] = {}
    for event in events:
        if isinstance(event, RunFinished):
            found[event.record.run_id] = event.record
        elif isinstance(event, JobResumed):
            for run_id in event.resubmitted:
                found.pop(run_id, None)
    return list(found.values())

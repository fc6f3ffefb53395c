"""Events: what happens to a job, as the journal stores it and the console shows it."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from senn_ray.records import Progress, RunRecord, RunSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class JobStarted:
    """A job begins: its verb, settings and frozen plan."""

    verb: str
    config: dict[str, Any]
    versions: dict[str, str]
    where: str
    """Where runs execute, for people: ``local Ray, 2 CPUs``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobResumed:
    """A job goes on after its driver ended; its settings are those of the beginning."""

    versions: dict[str, str]
    where: str
    resubmitted: tuple[str, ...]
    """Runs that were in flight: they start again, with the same specification."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSubmitted:
    """A run was handed to the executor; again, if the driver ended before it did."""

    spec: RunSpec


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
    """Of a budget: which one is used up, for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobEnded:
    """A job is over; nothing follows, unless it is resumed."""

    state: str
    exit_code: int


Event = (
    JobStarted
    | JobResumed
    | RunSubmitted
    | RunProgressed
    | RunFinished
    | TargetLocked
    | TestOpened
    | StopRequested
    | JobEnded
)

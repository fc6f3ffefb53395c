"""Attempts: the last one of each run counts, earlier ones are wasted.

A run is attempted again when the driver ended while it was in flight, or when a user
has failed runs repeated. Both are retries of the infrastructure: with the same
specification and seed, so they are no restarts. What the earlier attempts used is in
the column ``wasted_device_s`` of the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from senn_ray.core.events import (
    Event,
    JobEnded,
    JobResumed,
    JobStarted,
    RunBegun,
    RunFinished,
    RunSubmitted,
)
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.search.plan import Key, key_of

Timed = Sequence[tuple[float, Event]]


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """What a journal tells of the runs of a job."""

    submitted: dict[Key, RunSpec] = field(default_factory=dict)
    finished: dict[Key, RunRecord] = field(default_factory=dict)
    """The last attempt of each run, if it has ended."""
    superseded: list[RunRecord] = field(default_factory=list)
    """Failed attempts that were repeated."""
    lost: dict[Key, float] = field(default_factory=dict)
    """Device seconds of attempts that ended with their driver, by its clock."""
    retries: dict[Key, int] = field(default_factory=dict)


def attempts(events: Sequence[Event]) -> Attempts:
    """Follow the runs of a job through its journal.

    Args:
        events: What ``journal.read`` gave.
    """
    found = Attempts()
    for event in events:
        match event:
            case RunSubmitted(spec=spec):
                found.submitted[key_of(spec)] = spec
            case RunFinished(record=record):
                found.finished[key_of(record)] = record
            case JobResumed():
                _repeat(found, event)
            case _:
                pass
    return found


def seconds_lost(timed: Timed) -> dict[str, float]:
    """Estimate what the runs in flight had used when the last driver ended.

    The driver's last sign of life is the last line of the journal, so this is a lower
    bound. Growing runs go on from a checkpoint; what they kept then counts twice.

    Args:
        timed: What ``journal.read_timed`` gave, up to where the driver ended.

    Returns:
        Seconds times replicas, by the name of the run.
    """
    # Journals of earlier versions do not tell when a run began.
    tells = any(isinstance(event, RunBegun) for _, event in timed)
    began = dict[str, tuple[float, int]]()
    for utc_s, event in timed:
        if isinstance(event, RunBegun):
            began[event.run_id] = (utc_s, event.workers)
        elif isinstance(event, RunSubmitted) and not tells:
            began[event.spec.run_id] = (utc_s, event.spec.workers)
        elif isinstance(event, RunFinished):
            began.pop(event.record.run_id, None)
        elif isinstance(event, JobResumed):
            # Those are submitted once more, just after this.
            began.clear()
    last = timed[-1][0] if timed else 0.0
    return {
        run_id: max(last - utc_s, 0.0) * workers
        for run_id, (utc_s, workers) in began.items()
    }


def _repeat(found: Attempts, event: JobResumed) -> None:
    names = {spec.run_id: key for key, spec in found.submitted.items()}
    for run_id in event.resubmitted:
        if run_id not in names:
            continue  # The line of its submission was damaged.
        key = names[run_id]
        found.retries[key] = found.retries.get(key, 0) + 1
        seconds = event.lost_device_s.get(run_id, 0.0)
        found.lost[key] = found.lost.get(key, 0.0) + seconds
        if record := found.finished.pop(key, None):
            found.superseded.append(record)


def elapsed_s(timed: Sequence[tuple[float, Event]], *, now: float | None) -> float:
    """Add up the time that drivers have worked on a job, without the pauses.

    Args:
        timed: What ``journal.read_timed`` gave.
        now: Until when, if the job runs; or nothing, and the last event counts.
    """
    total, begun, last = 0.0, None, 0.0
    for utc_s, event in timed:
        if isinstance(event, JobStarted | JobResumed):
            total += 0.0 if begun is None else last - begun
            begun = utc_s
        last = utc_s
    over = not timed or isinstance(timed[-1][1], JobEnded)
    end = last if now is None or over else now
    return max(total + end - (end if begun is None else begun), 0.0)

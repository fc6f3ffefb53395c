"""Status: where a job stands, from its journal alone, while it runs or afterwards."""

import math
from collections.abc import Iterable, Sequence

from senn_ray.analysis.job import gather
from senn_ray.analysis.results import ArmStatus, BestRun, JobStatus, Target
from senn_ray.core.events import (
    Event,
    JobEnded,
    JobResumed,
    JobStarted,
    RunSubmitted,
    StopRequested,
)
from senn_ray.core.records import FAULTY, RunRecord
from senn_ray.search.attempts import elapsed_s
from senn_ray.search.targets import score

Timed = Sequence[tuple[float, Event]]


def status(timed: Timed, *, now: float | None) -> JobStatus:
    """Tell where a job stands.

    Args:
        timed: What ``journal.read_timed`` gave.
        now: Seconds since 1970 (UTC), while a process writes the journal; else nothing.
    """
    events = [event for _, event in timed]
    job = gather(events, alive=now is not None)
    submitted = [e.spec for e in events if isinstance(e, RunSubmitted)]
    arm_of = {spec.run_id: spec.arm for spec in submitted}
    best = _best(job.records)
    return JobStatus(
        verb=job.started.verb,
        state=job.ended.state,
        exit_code=None if job.ended.state == "running" else job.ended.exit_code,
        dataset=job.config.data.dataset,
        per_class=job.config.data.per_class,
        seed=job.config.seed,
        where=_where(events),
        elapsed_s=elapsed_s(timed, now=now),
        arms={
            arm: _arm(job.of(arm), list(arm_of.values()).count(arm))
            for arm in dict.fromkeys(arm_of.values())
        },
        best=best
        and BestRun(
            run_id=best.run_id, arm=best.arm, val_loss=best.val_loss, hidden=best.hidden
        ),
        target=job.target
        and Target(val_loss=job.target.val_loss, max_params=job.target.max_params),
        stopping=_stopping(events),
        resumed=sum(isinstance(event, JobResumed) for event in events),
        retries=len(submitted) - len(arm_of),
    )


def _stopping(events: Sequence[Event]) -> str | None:
    last = [e for e in events if isinstance(e, StopRequested | JobResumed | JobEnded)]
    return last[-1].why if last and isinstance(last[-1], StopRequested) else None


def _where(events: Iterable[Event]) -> str:
    return [e.where for e in events if isinstance(e, JobStarted | JobResumed)][-1]


def _arm(records: list[RunRecord], submitted: int) -> ArmStatus:
    best = _best(records)
    return ArmStatus(
        done=len(records),
        failed=sum(record.state in FAULTY for record in records),
        in_flight=submitted - len(records),
        best_val_loss=best and best.val_loss,
        best_hidden=best and best.hidden,
    )


def _best(records: Iterable[RunRecord]) -> RunRecord | None:
    good = [record for record in records if math.isfinite(score(record))]
    return min(good, key=lambda r: (score(r), r.params, r.run_id), default=None)

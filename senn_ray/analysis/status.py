"""Status: where a job stands, from its journal alone, while it runs or afterwards.

Contract; values that are not known are null::

    verb state exit_code dataset per_class seed where
    state           running; stopped (told to, or no writer); interrupted; budget;
                    complete; failed
    elapsed_s       time that drivers have worked on it
    arms{arm: {done failed in_flight best_val_loss best_hidden}}
    best{run_id arm val_loss hidden}
    target{val_loss max_params}
    stopping        why no run starts any more: asked or budget
    resumed         times that it was resumed
    retries         runs that had to start again because their driver ended
    writer{pid host heartbeat_s}    who writes into the folder
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from senn_ray.analysis.job import gather
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


def status(timed: Timed, *, now: float | None) -> dict[str, Any]:
    """Tell where a job stands.

    Args:
        timed: What ``journal.read_timed`` gave.
        now: Seconds since 1970 (UTC), if somebody writes the journal; or nothing.
    """
    events = [event for _, event in timed]
    job = gather(events, alive=now is not None)
    submitted = [e.spec for e in events if isinstance(e, RunSubmitted)]
    arm_of = {spec.run_id: spec.arm for spec in submitted}
    best = _best(job.records)
    return {
        "verb": job.started.verb,
        "state": job.ended.state,
        "exit_code": None if job.ended.state == "running" else job.ended.exit_code,
        "dataset": job.config.data.dataset,
        "per_class": job.config.data.per_class,
        "seed": job.config.seed,
        "where": _where(events),
        "elapsed_s": elapsed_s(timed, now=now),
        "arms": {
            arm: _arm(job.of(arm), list(arm_of.values()).count(arm))
            for arm in dict.fromkeys(arm_of.values())
        },
        "best": best and {"run_id": best.run_id, "arm": best.arm, **_found(best)},
        "target": job.target
        and {"val_loss": job.target.val_loss, "max_params": job.target.max_params},
        "stopping": _stopping(events),
        "resumed": sum(isinstance(event, JobResumed) for event in events),
        "retries": len(submitted) - len(arm_of),
    }


def _stopping(events: Sequence[Event]) -> str | None:
    last = [e for e in events if isinstance(e, StopRequested | JobResumed | JobEnded)]
    return last[-1].why if last and isinstance(last[-1], StopRequested) else None


def _where(events: Iterable[Event]) -> str:
    return [e.where for e in events if isinstance(e, JobStarted | JobResumed)][-1]


def _arm(records: list[RunRecord], submitted: int) -> dict[str, Any]:
    best = _best(records)
    found = _found(best) if best else {"val_loss": None, "hidden": None}
    return {
        "done": len(records),
        "failed": sum(record.state in FAULTY for record in records),
        "in_flight": submitted - len(records),
        "best_val_loss": found["val_loss"],
        "best_hidden": found["hidden"],
    }


def _best(records: Iterable[RunRecord]) -> RunRecord | None:
    good = [record for record in records if math.isfinite(score(record))]
    return min(good, key=lambda r: (score(r), r.params, r.run_id), default=None)


def _found(record: RunRecord) -> dict[str, Any]:
    return {"val_loss": record.val_loss, "hidden": list(record.hidden)}

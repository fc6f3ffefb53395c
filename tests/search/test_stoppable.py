"""Jobs that are told to end early: runs in flight finish, and nothing is lost."""

from typing import Literal

import pytest

from senn_ray.core.events import (
    JobEnded,
    JobResumed,
    RunFinished,
    RunSubmitted,
    StopRequested,
)
from senn_ray.search.coordinator import run_job
from senn_ray.search.ending import Stoppable
from senn_ray.search.machine import State
from senn_ray.search.plan import Plan
from senn_ray.search.resume import restore
from tests.search.fakes import FakeStudies, MemoryJournal, ShuffledExecutor, started
from tests.search.test_coordinator import CONFIG, REFERENCE, in_order


def stopped_after(
    count: int, why: Literal["asked", "budget"], *, capacity: int = 3
) -> tuple[JobEnded, MemoryJournal]:
    journal, executor = MemoryJournal(), ShuffledExecutor(capacity, in_order)

    def stop() -> StopRequested | None:
        runs = [e for e in journal.events if isinstance(e, RunFinished)]
        return StopRequested(why=why) if len(runs) >= count else None

    ended = run_job(
        State(plan=Plan(verb="compare", config=CONFIG), capacity=capacity),
        started(CONFIG, "compare"),
        executor=Stoppable(executor, stop),
        journal=journal,
        studies=FakeStudies(),
        observe=lambda _: None,
    )
    return ended, journal


@pytest.mark.parametrize(
    ("why", "state", "code"), [("asked", "stopped", 130), ("budget", "budget", 5)]
)
def test_a_request_to_stop_lets_runs_in_flight_finish_and_starts_no_other(
    why: Literal["asked", "budget"], state: str, code: int
) -> None:
    ended, journal = stopped_after(4, why)
    assert ended == JobEnded(state=state, exit_code=code)
    place = journal.events.index(StopRequested(why=why))
    after = journal.events[place + 1 :]
    submitted = [e.spec for e in journal.events if isinstance(e, RunSubmitted)]
    finished = [e for e in journal.events if isinstance(e, RunFinished)]
    assert not [e for e in after if isinstance(e, RunSubmitted)]
    assert len(submitted) == len(finished) > 4
    assert after[-1] == ended


def test_a_request_that_comes_with_the_last_run_changes_nothing() -> None:
    ended, _ = stopped_after(len(REFERENCE) - 1, "asked", capacity=1)
    assert ended == JobEnded(state="complete", exit_code=0)


@pytest.mark.parametrize("count", [1, 7, 30])
def test_a_drained_job_goes_on_to_the_runs_of_an_undisturbed_one(count: int) -> None:
    _, journal = stopped_after(count, "asked")
    plan = Plan(verb="compare", config=CONFIG)
    studies, executor = FakeStudies(), ShuffledExecutor(3, in_order)
    ended = run_job(
        restore(plan, journal.events, capacity=3),
        JobResumed(versions={}, where="a test", resubmitted=()),
        executor=executor,
        journal=journal,
        studies=studies,
        observe=lambda _: None,
    )
    assert ended == JobEnded(state="complete", exit_code=0)
    submitted = [e.spec for e in journal.events if isinstance(e, RunSubmitted)]
    assert {spec.run_id: spec for spec in submitted} == REFERENCE
    assert len(submitted) == len(REFERENCE), "none was started twice"

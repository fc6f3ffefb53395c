"""What a job has used, over all its drivers and runs in flight."""

import dataclasses

from senn_ray.config import BudgetConfig
from senn_ray.core.events import (
    Event,
    JobEnded,
    JobResumed,
    RunBegun,
    RunFinished,
    RunSubmitted,
    StopRequested,
)
from senn_ray.core.records import Cost
from senn_ray.search.ending import Meter, exhausted
from tests.search.executor_suite import make_record, make_spec
from tests.search.fakes import make_config, started

HOUR = 3600.0
SPEC = make_spec("random-0-000")
START = started(make_config(), "compare")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def meter(before: list[tuple[float, Event]], **limits: float) -> tuple[Meter, Clock]:
    clock = Clock()
    return Meter(BudgetConfig(**limits), before, clock=clock), clock


def finished(device_s: float, wasted_s: float = 0.0) -> RunFinished:
    cost = Cost(device_s=device_s, wasted_device_s=wasted_s)
    return RunFinished(record=dataclasses.replace(make_record(SPEC), cost=cost))


def test_finished_runs_of_all_drivers_count_with_what_was_wasted() -> None:
    used, _ = meter([(0.0, START), (1.0, finished(HOUR, HOUR))], device_hours=3)
    assert used.exceeded() is None
    used.observe(finished(HOUR))
    request = used.exceeded()
    assert request is not None
    assert request.why == "budget"
    assert request.detail == "budget.device_hours 3 is used up (3)"


def test_runs_in_flight_count_by_the_clock_and_by_their_replicas() -> None:
    used, clock = meter([], device_hours=1)
    used.observe(RunSubmitted(spec=dataclasses.replace(SPEC, workers=4)))
    clock.now = 9 * HOUR  # It waits, for free, until it begins.
    assert used.exceeded() is None
    used.observe(RunBegun(run_id=SPEC.run_id, workers=4))
    clock.now += HOUR / 4 - 1
    assert used.exceeded() is None
    clock.now += 1
    assert used.exceeded() is not None
    used.observe(finished(10.0))
    assert used.exceeded() is None


def test_pauses_between_drivers_cost_nothing() -> None:
    over = JobEnded(state="stopped", exit_code=130)
    before: list[tuple[float, Event]] = [(0.0, START), (HOUR, over)]
    used, clock = meter(before, wall_hours=2)
    clock.now = HOUR - 1
    assert used.exceeded() is None
    clock.now = HOUR
    assert used.exceeded() is not None


def test_what_ended_with_killed_drivers_counts_once() -> None:
    submitted = RunSubmitted(spec=dataclasses.replace(SPEC, workers=2))
    alive = RunSubmitted(spec=dataclasses.replace(SPEC, run_id="b"))
    done = dataclasses.replace(finished(10.0).record, run_id="b")
    killed: list[tuple[float, Event]] = [
        (0.0, START), (0.0, submitted), (0.0, alive), (HOUR, RunFinished(record=done)),
    ]  # fmt: skip
    used, _ = meter(killed, device_hours=2)
    assert used.exceeded() is not None
    resumed = JobResumed(
        versions={}, where="", resubmitted=(), lost_device_s={SPEC.run_id: 2 * HOUR}
    )
    used, _ = meter(killed, device_hours=3)
    used.observe(resumed)
    assert used.exceeded() is None
    used, clock = meter([*killed, (HOUR, resumed)], device_hours=3)
    used.observe(RunBegun(run_id=SPEC.run_id, workers=2))
    clock.now = HOUR / 2 - 11
    assert used.exceeded() is None
    clock.now = HOUR / 2
    assert used.exceeded() is not None


def test_without_limits_nothing_is_ever_exceeded() -> None:
    used, clock = meter([])
    clock.now = 1e12
    used.observe(finished(1e12))
    assert used.exceeded() is None


def test_only_a_job_that_its_budget_ended_is_exhausted() -> None:
    asked = StopRequested(why="budget", detail="used up")
    ended = JobEnded(state="budget", exit_code=5)
    again = JobResumed(versions={}, where="", resubmitted=())
    assert exhausted([START, asked, ended]) == "used up"
    assert exhausted([START, asked]) is None
    complete = JobEnded(state="complete", exit_code=0)
    assert exhausted([START, asked, ended, again, complete]) is None

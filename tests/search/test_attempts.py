"""What is attempted again counts once; what earlier attempts used is wasted."""

import dataclasses
from collections.abc import Callable, Sequence

import pytest

from senn_ray.analysis.job import gather
from senn_ray.analysis.ledger import ledger
from senn_ray.core.events import (
    Event,
    JobEnded,
    JobResumed,
    JobStarted,
    RunBegun,
    RunFinished,
    RunSubmitted,
    TargetLocked,
    outcomes,
)
from senn_ray.core.records import Cost, RunRecord, RunSpec
from senn_ray.search.attempts import seconds_lost
from senn_ray.search.coordinator import run_job
from senn_ray.search.executor import failed_record
from senn_ray.search.machine import State
from senn_ray.search.plan import Plan
from senn_ray.search.resume import outcome, restore
from tests.analysis.summaries import summary_of
from tests.search.executor_suite import make_spec
from tests.search.fakes import (
    FakeStudies,
    MemoryJournal,
    ShuffledExecutor,
    fake_run,
    make_config,
    started,
)

CONFIG = make_config(arms=("random", "ladder_bisect", "max_once"))
Run = Callable[[RunSpec], RunRecord]


def failing(spec: RunSpec) -> RunRecord:
    """Lose every second run of the ladder, and one of random, to the machine."""
    lost = (spec.arm == "ladder_bisect" and spec.trial % 2) or spec.run_id.endswith(
        "m-0-001"
    )
    return failed_record(spec, "OSError: gone", wall_s=7.0) if lost else fake_run(spec)


def go_on(events: Sequence[Event], run: Run, *, lost_s: float = 0.0) -> list[Event]:
    """Begin a job; or have its failed runs done again."""
    plan, journal = Plan(verb="compare", config=CONFIG), MemoryJournal()
    journal.events = [*events]
    state = restore(plan, events, capacity=3, retry_failed=True)
    again = tuple(spec.run_id for spec in state.lost)
    resumed = JobResumed(
        versions={},
        where="",
        resubmitted=again,
        lost_device_s=dict.fromkeys(again, lost_s),
    )
    first: JobStarted | JobResumed = resumed if events else started(CONFIG, "compare")
    run_job(
        state if events else State(plan=plan, capacity=3),
        first,
        executor=ShuffledExecutor(3, lambda _: 0, run),
        journal=journal,
        studies=FakeStudies(),
        observe=lambda _: None,
    )
    return journal.events


BROKEN = go_on([], failing)
REPAIRED = go_on(BROKEN, fake_run)


def test_failed_runs_are_done_again_only_if_that_is_wanted() -> None:
    assert outcome(BROKEN) == JobEnded(state="complete", exit_code=6)
    assert outcome(BROKEN, retry_failed=True) is None
    assert outcome(REPAIRED, retry_failed=True) == JobEnded(
        state="complete", exit_code=0
    )


def test_a_job_whose_failed_runs_are_repeated_has_no_failed_runs_left() -> None:
    records = gather(REPAIRED).records
    assert {record.state for record in records} == {"complete"}
    assert sorted(r.run_id for r in outcomes(REPAIRED)) == sorted(
        r.run_id for r in records
    )
    before = {r.run_id: r for r in gather(BROKEN).records if r.state == "complete"}
    after = {r.run_id: r for r in records}
    assert all(after[run_id] == record for run_id, record in before.items())


def test_a_retry_is_wasted_and_no_restart() -> None:
    failed = [r for r in gather(BROKEN).records if r.state == "failed"]
    assert len(failed) > 3
    rows = ledger(gather(REPAIRED))
    assert rows["total"].retries == len(failed)
    assert rows["total"].wasted_device_s == pytest.approx(7.0 * len(failed))
    assert rows["total"].runs == len(gather(REPAIRED).records)
    assert rows["total"].failed == 0
    assert any("wasted" in text for text in summary_of(REPAIRED)["caveats"])


def test_a_driver_that_dies_while_it_repeats_runs_goes_on_repeating_them() -> None:
    place = next(n for n, e in enumerate(REPAIRED) if isinstance(e, JobResumed))
    for cut in (place + 1, place + 3):
        torn = REPAIRED[:cut]
        assert outcome(torn) is None
        again = go_on(torn, fake_run)
        assert gather(again).records == gather(REPAIRED).records


def test_a_diverged_run_is_not_repeated() -> None:
    def diverging(spec: RunSpec) -> RunRecord:
        record = fake_run(spec)
        bad = spec.arm == "max_once"
        return dataclasses.replace(record, state="diverged") if bad else record

    assert outcome(go_on([], diverging), retry_failed=True) is not None


def test_what_runs_in_flight_had_used_is_told_by_the_clock_of_the_journal() -> None:
    gang = dataclasses.replace(make_spec("b", width=4), workers=3)
    timed: list[tuple[float, Event]] = [
        (100.0, RunSubmitted(spec=make_spec("a", width=3))),
        (105.0, RunSubmitted(spec=gang)),
        (120.0, RunFinished(record=fake_run(make_spec("a", width=3)))),
    ]
    assert seconds_lost(timed) == {"b": 45.0}
    timed += [(900.0, JobResumed(versions={}, where="", resubmitted=("b",)))]
    assert seconds_lost(timed) == {}
    timed += [(901.0, RunSubmitted(spec=gang)), (902.0, RunSubmitted(spec=gang))]
    assert seconds_lost(timed) == {"b": 0.0}


def test_the_ledger_counts_what_runs_wasted_themselves_and_what_drivers_lost() -> None:
    def wasteful(spec: RunSpec) -> RunRecord:
        record = failing(spec)
        cost = dataclasses.replace(record.cost, wasted_device_s=1.0)
        return dataclasses.replace(record, cost=cost, interruptions=("lost",))

    first = go_on([], wasteful)
    lost = sum(r.state == "failed" for r in gather(first).records)
    rows = ledger(gather(go_on(first, wasteful, lost_s=2.0)))
    runs = rows["total"].runs
    assert rows["total"].interruptions == runs
    # Every run wasted 1; those that were repeated used 7 more, wasted 1, and lost 2.
    assert rows["total"].wasted_device_s == pytest.approx(runs + lost * (7 + 1 + 2))
    arms = [row.wasted_device_s for arm, row in rows.items() if arm != "total"]
    assert rows["total"].wasted_device_s == pytest.approx(sum(arms))


def test_the_ledger_adds_up_over_arms_and_currencies() -> None:
    job = gather(REPAIRED)
    rows = ledger(job)
    for name, total in dataclasses.asdict(rows["total"]).items():
        assert total == pytest.approx(
            sum(getattr(row, name) for arm, row in rows.items() if arm != "total")
        )
    costs: list[Cost] = [record.cost for record in job.records]
    assert rows["total"].steps == sum(cost.steps for cost in costs)
    assert rows["total"].device_s == pytest.approx(sum(c.device_s for c in costs))


def test_waiting_for_workers_is_not_lost_when_a_driver_ends() -> None:
    waited, ran = make_spec("waited"), make_spec("ran")
    timed: list[tuple[float, Event]] = [
        (0.0, RunSubmitted(spec=waited)),
        (0.0, RunSubmitted(spec=ran)),
        (100.0, RunBegun(run_id="ran", workers=2)),
        (130.0, TargetLocked(val_loss=1.0, max_params=1)),
    ]
    assert seconds_lost(timed) == {"ran": 60.0}

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from senn_ray.config import Config
from senn_ray.core import events
from senn_ray.core.errors import ResourceError
from senn_ray.core.events import (
    CapacityChanged,
    JobEnded,
    JobStarted,
    RunFinished,
    RunSubmitted,
)
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.search.arms import find
from senn_ray.search.coordinator import run_job
from senn_ray.search.executor import Report
from senn_ray.search.machine import Ask, Proposed, Start, State, Tell, step
from senn_ray.search.plan import (
    CONFIRM,
    CONFIRM_FULL,
    SENN,
    Plan,
    Verb,
)
from senn_ray.search.run_requests import all_requests
from senn_ray.search.targets import score
from tests.search.fakes import (
    EVERY_ARM,
    FakeStudies,
    MemoryJournal,
    ShuffledExecutor,
    fake_run,
    make_config,
    started,
)

CONFIG = make_config(
    arms=EVERY_ARM, max_trials=8, trials_per_study=6, repeats=2, until_hits=2
)
Run = Callable[[RunSpec], RunRecord]


def in_order(count: int) -> int:
    del count
    return 0


def carry_out(
    *,
    config: Config = CONFIG,
    verb: Verb = "compare",
    capacity: int = 3,
    choose: Callable[[int], int] = in_order,
    run: Run = fake_run,
) -> tuple[JobEnded, MemoryJournal, ShuffledExecutor]:
    journal = MemoryJournal()
    executor = ShuffledExecutor(capacity, choose, run)
    plan = Plan(verb=verb, config=config)
    ended = run_job(
        State(plan=plan, capacity=capacity),
        started(config, verb),
        executor=executor,
        journal=journal,
        studies=FakeStudies(),
        observe=lambda _: None,
    )
    return ended, journal, executor


def specs_of(executor: ShuffledExecutor) -> dict[str, RunSpec]:
    specs = {spec.run_id: spec for spec in executor.submitted}
    assert len(specs) == len(executor.submitted), "no run is submitted twice"
    return specs


REFERENCE = specs_of(carry_out(capacity=1)[2])


def hurt(arm: str, **changes: Any) -> Run:
    def run(spec: RunSpec) -> RunRecord:
        record = fake_run(spec)
        return dataclasses.replace(record, **changes) if spec.arm == arm else record

    return run


@settings(max_examples=20, deadline=None)
@given(data=st.data(), capacity=st.integers(1, 12))
def test_any_order_of_completions_gives_the_same_runs(
    data: st.DataObject, capacity: int
) -> None:
    ended, _, executor = carry_out(
        capacity=capacity, choose=lambda n: data.draw(st.integers(0, n - 1))
    )
    assert ended == JobEnded(state="complete", exit_code=0)
    assert specs_of(executor) == REFERENCE
    assert executor.most_in_flight <= capacity


def test_every_arm_takes_part() -> None:
    arms = {spec.arm for spec in REFERENCE.values()}
    assert arms == {SENN, CONFIRM, CONFIRM_FULL, *CONFIG.baseline.arms}


def test_fixed_and_growing_runs_differ_in_size_and_growth_only() -> None:
    kept = [
        (s.data, s.train, s.workers, s.model.activation)
        for s in REFERENCE.values()
        if s.arm not in {"tpe_full", CONFIRM_FULL}
    ]
    assert len(set(kept)) == 1
    for spec in REFERENCE.values():
        assert spec.growth.enabled == (spec.kind == "grow") == find(spec.arm).grows


def test_seeds_differ_between_all_runs_of_a_comparison_but_pairs() -> None:
    specs = [spec for spec in REFERENCE.values() if not find(spec.arm).paired]
    assert len({spec.seed for spec in specs}) == len(specs)
    ours = {s.trial: s.seed for s in specs if s.arm == SENN}
    for arm in (arm for arm in EVERY_ARM if find(arm).paired):
        pairs = {s.trial: s.seed for s in REFERENCE.values() if s.arm == arm}
        assert pairs == ours


def test_plain_networks_of_the_found_sizes_have_them_one_by_one() -> None:
    found = {s.trial: fake_run(s).hidden for s in REFERENCE.values() if s.arm == SENN}
    specs = [s for s in REFERENCE.values() if s.arm == "no_growth_at_final"]
    assert {s.trial: s.model.hidden for s in specs} == found


def test_hopeless_trials_are_pruned_and_that_is_no_failure() -> None:
    ended, journal, _ = carry_out()
    records = [e.record for e in journal.events if isinstance(e, RunFinished)]
    pruned = [record for record in records if record.state == "pruned"]
    assert pruned
    assert {record.arm for record in pruned} == {"tpe_pruner"}
    assert ended == JobEnded(state="complete", exit_code=0)


def test_the_winner_of_the_full_search_is_trained_again_with_its_own_settings() -> None:
    _, journal, _ = carry_out()
    records = [e.record for e in journal.events if isinstance(e, RunFinished)]
    full = [r for r in records if r.arm == "tpe_full"]
    best = min(full, key=score)
    again = [s for s in REFERENCE.values() if s.arm == CONFIRM_FULL]
    settings = {(s.model.hidden, s.train.lr, s.train.weight_decay) for s in again}
    assert (best.hidden, best.lr, best.weight_decay) in settings
    assert all(spec.evaluate_test for spec in again)


def test_no_decision_depends_on_a_test_value() -> None:
    def run(spec: RunSpec) -> RunRecord:
        good = hash(spec.run_id) % 7 / 7
        return dataclasses.replace(fake_run(spec), test_loss=good, test_accuracy=good)

    assert specs_of(carry_out(run=run)[2]) == REFERENCE


def test_no_arm_sees_the_self_found_size() -> None:
    def run(spec: RunSpec) -> RunRecord:
        record = fake_run(spec)
        if spec.arm == SENN:
            return dataclasses.replace(record, hidden=(3,), params=235)
        return record

    specs = specs_of(carry_out(run=run)[2])
    for arm in {*EVERY_ARM} - {"random", "qmc", "no_growth_at_final"}:
        ours = {k: s for k, s in specs.items() if s.arm == arm}
        assert ours == {k: s for k, s in REFERENCE.items() if s.arm == arm}
    # Arms that stop at hits may stop elsewhere, but their widths are the same.
    shared = specs.keys() & REFERENCE.keys()
    assert all(
        specs[k] == REFERENCE[k] for k in shared if specs[k].arm in {"random", "qmc"}
    )


def test_targets_are_locked_after_all_growing_runs_and_before_confirmations() -> None:
    _, journal, _ = carry_out(capacity=4)
    kinds = [type(event).__name__ for event in journal.events]
    locked = kinds.index("TargetLocked")
    finished = [
        event.record.arm
        for event in journal.events[:locked]
        if isinstance(event, RunFinished)
    ]
    assert finished.count(SENN) == CONFIG.compare.seeds
    assert kinds.count("TargetLocked") == 1


def test_test_data_is_opened_in_the_journal_before_a_run_may_read_it() -> None:
    _, journal, _ = carry_out(capacity=4)
    opened = set[str]()
    for event in journal.events:
        if isinstance(event, events.TestOpened):
            assert opened.isdisjoint(event.run_ids)
            opened.update(event.run_ids)
        if isinstance(event, RunSubmitted):
            assert event.spec.evaluate_test == (event.spec.run_id in opened)


def test_an_event_is_kept_before_it_is_acted_on() -> None:
    journal = MemoryJournal()

    class Watching(ShuffledExecutor):
        def submit(self, spec: RunSpec) -> None:
            assert journal.events[-1] == RunSubmitted(spec=spec)
            super().submit(spec)

        def wait(self) -> list[Report]:
            reports = super().wait()
            self.seen.extend(reports)
            return reports

        seen: list[Report] = []  # noqa: RUF012 - one executor in this test

    executor = Watching(2, in_order)
    run_job(
        State(plan=Plan(verb="compare", config=CONFIG), capacity=2),
        started(CONFIG, "compare"),
        executor=executor,
        journal=journal,
        studies=FakeStudies(),
        observe=lambda _: None,
    )
    finished = [event for event in journal.events if isinstance(event, RunFinished)]
    assert finished == executor.seen
    assert isinstance(journal.events[0], JobStarted)
    assert isinstance(journal.events[-1], JobEnded)


def test_failed_and_diverged_runs_count_and_the_others_go_on() -> None:
    run = hurt("random", state="diverged", stop_reason="diverged", val_loss=math.nan)
    ended, _, executor = carry_out(run=run)
    assert ended == JobEnded(state="complete", exit_code=6)
    arms = [spec.arm for spec in executor.submitted]
    assert arms.count("random") == CONFIG.baseline.max_trials
    assert arms.count(CONFIRM) > 0


def test_without_any_complete_growing_run_the_job_fails_soon() -> None:
    run = hurt(SENN, state="diverged", stop_reason="diverged", val_loss=None)
    ended, journal, executor = carry_out(run=run, capacity=1)
    assert ended == JobEnded(state="failed", exit_code=6)
    assert {spec.arm for spec in executor.submitted} == {SENN}
    assert not [e for e in journal.events if isinstance(e, events.TargetLocked)]


def test_growing_runs_count_up_from_the_root_seed() -> None:
    config = CONFIG.model_copy(update={"seed": 7})
    ended, _, executor = carry_out(config=config, verb="grow")
    assert ended == JobEnded(state="complete", exit_code=0)
    assert [spec.seed for spec in executor.submitted] == [7, 8, 9, 10, 11]
    assert all(spec.evaluate_test for spec in executor.submitted)


def test_an_interrupt_keeps_what_is_finished() -> None:
    calls = iter(range(100))

    def run(spec: RunSpec) -> RunRecord:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return fake_run(spec)

    ended, journal, _ = carry_out(run=run)
    assert ended == JobEnded(state="interrupted", exit_code=130)
    assert journal.events[-1] == ended
    assert sum(isinstance(event, RunFinished) for event in journal.events) == 3


def test_an_error_of_the_machinery_is_noted_and_raised_again() -> None:
    journal = MemoryJournal()

    class Broken(ShuffledExecutor):
        def wait(self) -> list[Report]:
            raise ResourceError("the cluster is gone")

    with pytest.raises(ResourceError, match="the cluster is gone"):
        run_job(
            State(plan=Plan(verb="grow", config=CONFIG), capacity=1),
            started(CONFIG, "grow"),
            executor=Broken(1, in_order),
            journal=journal,
            studies=FakeStudies(),
            observe=lambda _: None,
        )
    assert journal.events[-1] == JobEnded(state="failed", exit_code=3)


def test_more_nodes_let_more_runs_begin_and_fewer_end_none() -> None:
    plan = Plan(verb="compare", config=make_config())
    state, commands = step(
        State(plan=plan, capacity=1), started(make_config(), "compare")
    )
    assert sum(isinstance(c, Start | Ask) for c in commands) == 1
    state, commands = step(state, CapacityChanged(capacity=4))
    assert sum(isinstance(c, Start | Ask) for c in commands) == 3
    state, commands = step(state, CapacityChanged(capacity=2))
    assert commands == []
    assert len(state.issued) == 4


@pytest.mark.parametrize("verb", ["compare", "scan", "grow"])
@given(data=st.data())
@settings(max_examples=8)
def test_the_board_is_all_requests_but_those_that_were_started_or_fills_all_places(
    verb: Verb, data: st.DataObject
) -> None:
    plan = Plan(verb=verb, config=CONFIG)
    state, commands = step(State(plan=plan, capacity=5), started(CONFIG, verb))
    studies, flying = FakeStudies(), list[RunSpec]()
    while True:
        for command in commands:
            if isinstance(command, Tell):
                studies.tell(command.key, command.record)
        for command in commands:
            if isinstance(command, Ask):
                proposed = Proposed(key=command.key, choice=studies.ask(command.key))
                state, started_one = step(state, proposed)
                flying += [c.spec for c in started_one if isinstance(c, Start)]
            elif isinstance(command, Start):
                flying.append(command.spec)
        board = {key: r for asked in (state.board or {}).values() for key, r in asked}
        wanted = all_requests(plan, state.finished, state.target)
        left = {k: r for k, r in wanted.items() if k not in state.issued}
        assert board.items() <= left.items()
        assert board == left or len(board) >= state.capacity
        if not flying:
            return
        spec = flying.pop(data.draw(st.integers(0, len(flying) - 1)))
        state, commands = step(state, RunFinished(record=fake_run(spec)))

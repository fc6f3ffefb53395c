"""A job that is killed anywhere and resumed ends as if nothing had happened."""

import contextlib
import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from senn_ray.analysis.job import gather
from senn_ray.config import Config
from senn_ray.core.events import (
    Event,
    JobEnded,
    JobResumed,
    JobStarted,
    RunFinished,
    RunSubmitted,
)
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.search.arms.optuna_studies import OptunaStudies
from senn_ray.search.coordinator import Studies, run_job
from senn_ray.search.machine import State
from senn_ray.search.plan import Choice, Key, Plan, Verb
from senn_ray.search.resume import outcome, restore
from tests.analysis.summaries import summary_of
from tests.search.fakes import (
    EVERY_ARM,
    MemoryJournal,
    ShuffledExecutor,
    fake_run,
    halving,
    make_config,
    started,
)

CONFIG = make_config(
    arms=EVERY_ARM, max_trials=6, trials_per_study=6, repeats=1, until_hits=2
)
SMALL = make_config(arms=("tpe_pareto", "tpe_pruner"), studies=2, trials_per_study=6)


class Killed(BaseException):
    """The driver is gone: no handler may run, as with SIGKILL."""


class MortalJournal(MemoryJournal):
    """A journal whose writer dies before or after writing event number ``last``."""

    def __init__(self, events: Sequence[Event], last: int, *, before: bool) -> None:
        super().__init__()
        self.events = [*events]
        self.last = last
        self.before = before

    def append(self, event: Event) -> None:
        if len(self.events) >= self.last and self.before:
            raise Killed
        super().append(event)
        if len(self.events) >= self.last:
            raise Killed


class LastingStudies:
    """Propose widths by halves; like the real ones, they live on the disk."""

    def __init__(self) -> None:
        self.told: dict[Key, RunRecord] = {}

    def ask(self, key: Key) -> Choice:
        place = (key.arm, key.study)
        before = [k for k in self.told if (k.arm, k.study) == place]
        assert len(before) == key.trial, "every earlier outcome was told"
        return halving(key)

    def tell(self, key: Key, record: RunRecord) -> None:
        assert self.told.setdefault(key, record) == record


def go_on(
    journal: MemoryJournal,
    studies: Studies,
    *,
    config: Config = CONFIG,
    verb: Verb = "compare",
    capacity: int = 3,
    choose: Callable[[int], int] = lambda _: 0,
    run: Callable[[RunSpec], RunRecord] = fake_run,
) -> JobEnded:
    """Start a job, or resume it if its journal has begun, as ``app`` does."""
    plan = Plan(verb=verb, config=config, checkpoints=Path("/there/checkpoints"))
    first: JobStarted | JobResumed = started(config, verb)
    state = State(plan=plan, capacity=capacity)
    if journal.events:
        state = restore(plan, journal.events, capacity=capacity)
        lost = tuple(spec.run_id for spec in state.lost)
        first = JobResumed(versions={}, where="a test", resubmitted=lost)
    return run_job(
        state,
        first,
        executor=ShuffledExecutor(capacity, choose, run),
        journal=journal,
        studies=studies,
        observe=lambda _: None,
    )


def killed(
    events: Sequence[Event], last: int, studies: Studies, *, before: bool, **how: object
) -> list[Event]:
    """Run until the kill (or the end) and return what the journal has."""
    journal = MortalJournal(events, last, before=before)
    with contextlib.suppress(Killed):
        go_on(journal, studies, **how)  # pyright: ignore[reportArgumentType]
    return journal.events


def whole(config: Config = CONFIG, verb: Verb = "compare") -> list[Event]:
    journal = MemoryJournal()
    go_on(journal, LastingStudies(), config=config, verb=verb)
    return journal.events


def specs(events: Sequence[Event]) -> dict[str, RunSpec]:
    found: dict[str, RunSpec] = {}
    for event in events:
        if isinstance(event, RunSubmitted):
            spec = found.setdefault(event.spec.run_id, event.spec)
            assert spec == event.spec, "a run that starts again is the same run"
    return found


def check(events: Sequence[Event], undisturbed: Sequence[Event]) -> None:
    records = [e.record.run_id for e in events if isinstance(e, RunFinished)]
    assert max(Counter(records).values()) == 1, "no finished run is repeated"
    assert specs(events) == specs(undisturbed)
    # Summary and tables are functions of this alone.
    assert gather(events) == gather(undisturbed)


UNDISTURBED = {verb: whole(verb=verb) for verb in ("grow", "compare")}


class Witness(MemoryJournal):
    """A journal that knows how many outcomes were told before each event."""

    def __init__(self, studies: LastingStudies) -> None:
        super().__init__()
        self.told: list[int] = []
        self._studies = studies

    def append(self, event: Event) -> None:
        self.told.append(len(self._studies.told))
        super().append(event)


@pytest.mark.slow
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("verb", ["grow", "compare"])
def test_killed_at_any_event_and_resumed_is_as_undisturbed(
    verb: Verb, before: bool
) -> None:
    undisturbed, lasting = UNDISTURBED[verb], LastingStudies()
    witness = Witness(lasting)
    go_on(witness, lasting, verb=verb)
    assert witness.events == undisturbed
    # Every kind of event is hit, and every arm; the property below hits the rest.
    for last in range(1, len(undisturbed)):
        if last > 23 and last % 13:
            continue
        # What a driver leaves that dies before it writes the next event, or right
        # after it wrote its last one: nothing of that one has been told yet.
        told = witness.told[last if before else last - 1]
        studies, journal = LastingStudies(), MemoryJournal()
        studies.told = dict(list(lasting.told.items())[:told])
        journal.events = undisturbed[:last]
        if outcome(journal.events) is None:
            go_on(journal, studies, verb=verb)
        check(journal.events, undisturbed)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_kills_again_and_again_in_any_order_and_on_any_cluster(seed: int) -> None:
    chance = random.Random(seed)
    studies, events = LastingStudies(), list[Event]()
    while outcome(events) is None:
        events = killed(
            events,
            len(events) + chance.randint(1, 60),
            studies,
            before=chance.random() < 0.5,
            capacity=chance.randint(1, 9),
            choose=chance.randrange,
        )
    check(events, UNDISTURBED["compare"])


@pytest.mark.slow
def test_real_studies_go_on_identically_wherever_the_driver_was_killed(
    tmp_path: Path,
) -> None:
    plan = Plan(verb="compare", config=SMALL)
    journal = MemoryJournal()
    go_on(journal, OptunaStudies(plan, tmp_path / "whole"), config=SMALL)
    undisturbed = journal.events
    for last in range(8, len(undisturbed), 7):
        folder = tmp_path / str(last)
        before = last % 2 == 0
        events = killed(
            [], last, OptunaStudies(plan, folder), before=before, config=SMALL
        )
        journal = MemoryJournal()
        journal.events = events
        go_on(journal, OptunaStudies(plan, folder), config=SMALL)
        check(events, undisturbed)


def test_an_interrupted_job_goes_on_and_is_then_complete() -> None:
    calls = iter(range(100))

    def run(spec: RunSpec) -> RunRecord:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return fake_run(spec)

    journal = MemoryJournal()
    go_on(journal, studies := LastingStudies(), run=run)
    assert outcome(journal.events) is None
    assert summary_of(journal.events)["state"] == "interrupted"
    seen = len(journal.events)
    go_on(journal, studies)
    assert summary_of(journal.events[: seen + 2])["state"] == "running"
    check(journal.events, UNDISTURBED["compare"])


@pytest.mark.parametrize(
    ("state", "code", "over"),
    [
        ("complete", 0, True),
        ("complete", 6, True),
        ("failed", 6, True),
        ("failed", 3, False),
        ("failed", 1, False),
        ("interrupted", 130, False),
    ],
)
def test_a_job_is_over_unless_its_machinery_failed(
    state: str, code: int, over: bool
) -> None:
    ended = JobEnded(state=state, exit_code=code)
    assert outcome([ended]) == (ended if over else None)
    resumed = JobResumed(versions={}, where="", resubmitted=())
    assert outcome([ended, resumed]) is None


def test_a_run_that_was_lost_keeps_its_network_where_the_folder_is_now() -> None:
    plan = Plan(verb="grow", config=CONFIG, checkpoints=Path("/old/checkpoints"))
    journal = MortalJournal([], 4, before=False)
    with pytest.raises(Killed):
        run_job(
            State(plan=plan, capacity=3),
            started(CONFIG, "grow"),
            executor=ShuffledExecutor(3, lambda _: 0),
            journal=journal,
            studies=LastingStudies(),
            observe=lambda _: None,
        )
    moved = dataclasses.replace(plan, checkpoints=Path("/new/checkpoints"))
    lost = restore(moved, journal.events, capacity=3).lost
    assert [spec.checkpoint for spec in lost] == [
        f"/new/checkpoints/senn-0-00{trial}/final.pt" for trial in range(len(lost))
    ]
    assert len(lost) == 2

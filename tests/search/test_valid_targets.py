"""Targets are those of the self-expanding runs there are, however they came about."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from senn_ray.analysis.job import gather
from senn_ray.config import Config
from senn_ray.core.events import Event, JobResumed, RunFinished, TargetLocked
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.search.changes import with_values
from senn_ray.search.coordinator import run_job
from senn_ray.search.executor import failed_record
from senn_ray.search.plan import SENN, Plan, key_of
from senn_ray.search.resume import outcome, restore
from senn_ray.search.targets import lock
from tests.analysis.summaries import summary_of
from tests.search.fakes import MemoryJournal, ShuffledExecutor, fake_run, make_config
from tests.search.test_resume import Killed, LastingStudies, MortalJournal, go_on, whole

# No arm stops at hits: those of another target would be others.
CONFIG = make_config(
    arms=("random", "tpe", "ladder", "max_once", "gradmax", "no_growth_at_final"),
    until_hits=12,
)
MORE = {"compare.seeds": 8}
LONGER = with_values(CONFIG, MORE)
SHORT, WHOLE = whole(CONFIG), whole(LONGER)


def resumed(
    events: Sequence[Event],
    config: Config,
    *,
    extended: dict[str, Any] | None = None,
    retry: bool = False,
    journal: MemoryJournal | None = None,
) -> list[Event]:
    """Go on with a job whose driver has ended."""
    plan = Plan(verb="compare", config=config, checkpoints=Path("/there/checkpoints"))
    journal, studies = journal or MemoryJournal(), LastingStudies()
    journal.events = [*events]
    for record in gather(events).of("tpe"):
        studies.tell(key_of(record), record)
    state = restore(plan, events, capacity=3, retry_failed=retry)
    again = tuple(spec.run_id for spec in state.lost)
    first = JobResumed(
        versions={}, where="", resubmitted=again, extended=extended or {}
    )
    with contextlib.suppress(Killed):
        run_job(
            state,
            first,
            executor=ShuffledExecutor(3, lambda _: 0),
            journal=journal,
            studies=studies,
            observe=lambda _: None,
        )
    return journal.events


def results(events: Sequence[Event]) -> dict[str, Any]:
    """What a comparison finds; winners of an earlier target were trained again too."""
    summary = summary_of(events)
    names = ("targets", "arms", "exchange_rate", "restarts_saved", "verdict", "paired")
    return {name: summary[name] for name in (*names, "confirmed")}


def test_an_extended_comparison_finds_what_the_whole_one_would_have_found() -> None:
    assert gather(SHORT).target != gather(WHOLE).target
    extended = resumed(SHORT, LONGER, extended=MORE)
    assert gather(extended).target == lock(gather(WHOLE).senn, 1.1)
    assert results(extended) == results(WHOLE)


def test_an_extension_that_is_killed_anywhere_locks_its_own_target() -> None:
    undisturbed = resumed(SHORT, LONGER, extended=MORE)
    for last in range(len(SHORT) + 2, len(undisturbed), 4):
        mortal = MortalJournal([], last, before=last % 2 == 0)
        torn = resumed(SHORT, LONGER, extended=MORE, journal=mortal)
        again = resumed(torn, LONGER)
        assert gather(again).target == gather(undisturbed).target
        assert gather(again).records == gather(undisturbed).records
        locked = [event for event in again if isinstance(event, TargetLocked)]
        assert len(locked) == 2


def test_a_half_extended_comparison_has_no_verdict() -> None:
    place = len(SHORT) + 6
    torn = resumed(SHORT, LONGER, extended=MORE)[:place]
    assert gather(torn).outgrown
    assert any("resume RUN" in said for said in summary_of(torn)["withheld"])


def test_a_growing_run_that_is_done_again_moves_the_target() -> None:
    def losing(spec: RunSpec) -> RunRecord:
        if spec.run_id == "senn-0-001":
            return failed_record(spec, "OSError: gone", wall_s=1.0)
        return fake_run(spec)

    journal = MemoryJournal()
    go_on(journal, LastingStudies(), config=CONFIG, run=losing)
    assert gather(journal.events).target != gather(SHORT).target
    repaired = resumed(journal.events, CONFIG, retry=True)
    assert gather(repaired).target == gather(SHORT).target
    assert results(repaired) == results(SHORT)


def test_a_comparison_that_kept_an_old_target_can_be_resumed() -> None:
    extended = resumed(SHORT, LONGER, extended=MORE)
    second = [n for n, e in enumerate(extended) if isinstance(e, TargetLocked)][1]
    stale = extended[:second] + extended[second + 1 :]
    assert outcome(stale) is None
    assert summary_of(stale)["verdict"] is None
    assert results(resumed(stale, LONGER)) == results(WHOLE)


@pytest.mark.parametrize("events", [SHORT, WHOLE], ids=["short", "whole"])
def test_a_job_that_was_left_alone_keeps_its_target(events: list[Event]) -> None:
    assert not gather(events).outgrown
    assert outcome(events) is not None
    finished = [e.record for e in events if isinstance(e, RunFinished)]
    ours = [record for record in finished if record.arm == SENN]
    assert gather(events).target == lock(ours, 1.1)

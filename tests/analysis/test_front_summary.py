"""Front against front: equal arms are equal, pruning is compared honestly."""

import dataclasses
import random
from functools import cache

import pytest

from senn_ray.analysis.front_results import FrontComparison
from senn_ray.analysis.results import CompareSummary, from_json, to_json
from senn_ray.config import Config
from senn_ray.core.events import Event, RunFinished
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.search.coordinator import run_job
from senn_ray.search.machine import State
from senn_ray.search.plan import SENN, WIDE_MAGNITUDE, WIDE_PRUNE, Plan
from tests.analysis.summaries import compared
from tests.search.fakes import (
    FakeStudies,
    MemoryJournal,
    ShuffledExecutor,
    fake_run,
    make_config,
    started,
    walked,
)

CONFIG = make_config(repeats=4)


def events_of(excess: float = 0.0, config: Config = CONFIG) -> tuple[Event, ...]:
    """Compare with growing runs that are walked down, and this much worse."""

    def run(spec: RunSpec) -> RunRecord:
        record, noise = fake_run(spec), random.Random(spec.seed).gauss(0, 0.001)
        if spec.front is None:
            return record
        if spec.arm != SENN:
            return walked(record, noise)
        return walked(record, noise, excess)

    journal = MemoryJournal()
    run_job(
        State(plan=Plan(verb="compare", config=config), capacity=2),
        started(config, "compare"),
        executor=ShuffledExecutor(2, lambda n: n - 1, run),
        journal=journal,
        studies=FakeStudies(),
        observe=lambda _: None,
    )
    return tuple(journal.events)


@cache
def summary_at(excess: float) -> CompareSummary:
    return compared(events_of(excess))


def fronts_of(summary: CompareSummary) -> FrontComparison:
    assert summary.fronts is not None
    return summary.fronts


FRONTS = fronts_of(summary_at(0.0))


def test_every_arm_is_compared_at_every_rung_and_as_a_whole() -> None:
    arms = {SENN, *CONFIG.baseline.arms}
    assert {WIDE_PRUNE, WIDE_MAGNITUDE} < arms
    assert set(FRONTS.every_rung) == set(FRONTS.hypervolume) == set(FRONTS.arms) == arms
    assert len(FRONTS.rungs) > 3
    for row in FRONTS.rungs:
        assert set(row.arms) == arms
        for needed in row.arms.values():
            runs = needed.cost["runs"]
            assert runs.bound == (needed.hits == 0)
            assert (runs.estimate is None) == (needed.hits == 0)
    sizes = [row.params for row in FRONTS.rungs]
    assert sizes == sorted(sizes, reverse=True)


def test_two_arms_that_do_the_same_need_the_same() -> None:
    twins = [
        dataclasses.replace(
            event, record=dataclasses.replace(event.record, arm="max_once")
        )
        for event in events_of()
        if isinstance(event, RunFinished) and event.record.arm == SENN
    ]
    others = [
        event
        for event in events_of()
        if not (isinstance(event, RunFinished) and event.record.arm == "max_once")
    ]
    found = fronts_of(compared([*others, *twins]))
    one, other = found.hypervolume[SENN], found.hypervolume["max_once"]
    assert one.curve == other.curve
    pairs = [
        (one.needed, other.needed),
        (found.every_rung[SENN], found.every_rung["max_once"]),
        *((row.arms[SENN], row.arms["max_once"]) for row in found.rungs),
    ]
    for ours, theirs in pairs:
        for currency, needed in ours.cost.items():
            same = theirs.cost[currency]
            assert needed.estimate == pytest.approx(same.estimate, rel=0.05)
            assert needed.low == pytest.approx(same.low, rel=0.2)


def test_the_order_of_completions_changes_nothing() -> None:
    events = list(events_of())
    finished = [event for event in events if isinstance(event, RunFinished)]
    random.Random(0).shuffle(finished)
    others = [event for event in events if not isinstance(event, RunFinished)]
    again = compared([others[0], *finished, *others[1:]])
    assert again.fronts == FRONTS


def test_more_runs_have_more_hypervolume_and_one_run_that_of_single_ones() -> None:
    assert FRONTS.target_hypervolume is not None
    for arm, volume in FRONTS.hypervolume.items():
        values = [point.hypervolume for point in volume.curve]
        assert values == sorted(values), arm
        # Studies go on side by side: all runs together are more than one study.
        assert values[-1] <= volume.best + 1e-12
    senn = FRONTS.hypervolume[SENN]
    assert senn.curve[0].hypervolume == pytest.approx(senn.one_search.estimate)
    assert senn.curve[-1].hypervolume == pytest.approx(senn.best)


def test_an_arm_of_one_size_never_has_the_whole_front() -> None:
    needed = FRONTS.hypervolume["max_once"].needed
    assert (needed.hits, needed.cost["runs"].bound) == (0, True)
    assert FRONTS.every_rung["max_once"].cost["runs"].bound


def test_walking_down_a_wide_network_has_the_whole_front_with_one_run() -> None:
    # Its start is wider, and all else is alike.
    assert FRONTS.hypervolume[WIDE_PRUNE].needed.cost["runs"].estimate == 1
    assert FRONTS.every_rung[WIDE_PRUNE].hits >= 3


@pytest.mark.parametrize(
    ("excess", "judged", "said"),
    [
        (-0.05, "better", "growing is better"),
        (0.0, "unclear", "growing adds nothing"),
        (0.05, "worse", "growing loses"),
    ],
)
def test_growing_is_judged_by_the_loss_at_equal_sizes(
    excess: float, judged: str, said: str
) -> None:
    from senn_ray.report.answer import answer

    summary = summary_at(excess)
    row = fronts_of(summary).against[WIDE_PRUNE]
    assert row.judgement == judged
    assert (row.units, row.searches) == (128, CONFIG.baseline.repeats)
    lines = answer(summary)[:3]
    (line,) = (text for text in lines if "wide_prune" in text)
    assert said in line
    assert "times the device time" in line


def test_the_verdict_says_what_growing_adds_to_pruning() -> None:
    verdict = summary_at(0.0).verdict
    assert verdict is not None
    assert "growing adds nothing that these runs show over wide_prune" in verdict


def test_what_a_growing_run_costs_is_told_in_searches_of_the_arm() -> None:
    row = FRONTS.against[WIDE_PRUNE]
    steps = {
        arm: [
            event.record.cost.steps
            for event in events_of()
            if isinstance(event, RunFinished) and event.record.arm == arm
        ]
        for arm in (SENN, WIDE_PRUNE)
    }
    assert row.steps.estimate == pytest.approx(
        steps[SENN][1] / steps[WIDE_PRUNE][0], rel=0.1
    )
    assert row.device_s.estimate is not None


def test_a_comparison_of_fronts_survives_its_summary() -> None:
    import json

    summary = summary_at(0.0)
    read = from_json(json.dumps(to_json(summary)), source="RUN")
    assert read == summary

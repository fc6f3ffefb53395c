"""Arms that share seeds with the self-expanding runs, and arms that are no opponents."""

import dataclasses
import functools
from typing import Any

import pytest

from senn_ray.analysis.job import Job, gather
from senn_ray.analysis.sizes import paired
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.search.arms import find
from senn_ray.search.coordinator import run_job
from senn_ray.search.machine import State
from senn_ray.search.plan import Plan
from tests.analysis.summaries import summary_of
from tests.search.fakes import (
    EVERY_ARM,
    FakeStudies,
    MemoryJournal,
    ShuffledExecutor,
    fake_run,
    make_config,
    started,
)

CONTROLS = {arm for arm in EVERY_ARM if find(arm).kind == "control"}
CONFIG = make_config(
    arms=EVERY_ARM, max_trials=6, trials_per_study=5, repeats=3, until_hits=2
)


@functools.cache
def compared(shift: float = 0.0) -> MemoryJournal:
    """Compare; plain networks of the found size lose by ``shift`` to their pair."""

    def run(spec: RunSpec) -> RunRecord:
        record = fake_run(spec)
        if spec.arm != "no_growth_at_final":
            return record
        loss = (record.val_loss or 0.0) + shift
        return dataclasses.replace(record, val_loss=loss)

    journal = MemoryJournal()
    run_job(
        State(plan=Plan(verb="compare", config=CONFIG), capacity=4),
        started(CONFIG, "compare"),
        executor=ShuffledExecutor(4, lambda _: 0, run),
        journal=journal,
        studies=FakeStudies(),
        observe=lambda _: None,
    )
    return journal


@functools.cache
def shifted(shift: float = 0.0) -> dict[str, Any]:
    return summary_of(compared(shift).events)


def job_of(journal: MemoryJournal) -> Job:
    return gather(journal.events)


def test_pairs_differ_by_what_growing_does_and_by_nothing_else() -> None:
    # In this world the loss follows from width and seed, whether grown or not.
    same = paired(job_of(compared()))["no_growth_at_final"]
    assert same.pairs == CONFIG.compare.seeds
    assert (same.excess, same.better) == (0, 0)
    worse = paired(job_of(compared(0.05)))["no_growth_at_final"]
    assert worse.excess == pytest.approx(0.05)
    assert worse.low == pytest.approx(0.05)
    assert worse.better_high == pytest.approx(0.5218, abs=1e-4)
    assert worse.params_ratio == pytest.approx(1)


def test_what_pairs_tell_is_said() -> None:
    said = "\n".join(shifted(0.05)["caveats"])
    assert "plain networks of the self-found sizes, with equal seeds, have" in said
    assert "+0.05 [+0.05, +0.05] against" in said
    assert "(5 pairs: self-expansion is better)" in said
    assert "(5 pairs: no clear difference)" in said


def test_controls_are_no_opponents() -> None:
    summary = shifted(0.05)
    for part in ("arms", "exchange_rate", "restarts_saved"):
        for by_arm in summary[part].values():
            assert not CONTROLS & set(by_arm)
            assert {*EVERY_ARM} - CONTROLS <= set(by_arm)
    assert set(summary["cost"]) >= CONTROLS


def test_a_grid_alone_decides_the_smallest_sufficient_size() -> None:
    job = job_of(compared())
    sizes = shifted(0.05)["sizes"]
    assert [row["hidden"] for row in sizes] == [2, 4, 8, 16, 32, 64, 128]
    assert {row["seeds"] for row in sizes} == {CONFIG.baseline.repeats}
    assert len(job.of("grid")) == 7 * CONFIG.baseline.repeats

"""Simulations of random search with a known world, over ranges of widths."""

import dataclasses
import math

import numpy as np
import pytest

from senn_ray.analysis.job import Job
from senn_ray.analysis.ranges import range_sensitivity
from senn_ray.core.events import JobEnded, TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.search.arms.random import width_at
from senn_ray.search.plan import Key, Plan, fixed_spec, plain
from tests.search.fakes import fake_run, make_config, started

CONFIG = make_config()
PLAN = Plan(verb="compare", config=CONFIG)
TARGET = TargetLocked(val_loss=0.5, max_params=75 * 20 + 10)


BASE = fake_run(fixed_spec(PLAN, Key(arm="random", study=0, trial=0), plain(2)))


def trial(number: int, width: int, *, loss: float) -> RunRecord:
    size = {"hidden": (width,), "params": 75 * width + 10}
    return dataclasses.replace(BASE, trial=number, val_loss=loss, **size)


def job(records: list[RunRecord]) -> Job:
    return Job(
        started=started(CONFIG, "compare"),
        config=CONFIG,
        records=tuple(records),
        target=TARGET,
        ended=JobEnded(state="complete", exit_code=0),
    )


def searched(highest: int, count: int = 6000) -> list[RunRecord]:
    """Search a range at random; widths from 16 reach the loss, up to 20 are small."""
    model = CONFIG.model.model_copy(update={"max_hidden": highest})
    plan = Plan(verb="compare", config=CONFIG.model_copy(update={"model": model}))
    places = np.random.default_rng(highest).random(count)
    widths = [width_at(plan, float(place)) for place in places]
    return [trial(n, w, loss=0.4 if w >= 16 else 0.6) for n, w in enumerate(widths)]


def test_other_ranges_cost_what_a_search_of_them_would_have_cost() -> None:
    found = range_sensitivity(job(searched(128)))
    for row in found["quality_at_size"]:
        hits = [16 <= run.hidden[0] <= 20 for run in searched(row["highest"])]
        assert row["runs"]["estimate"] == pytest.approx(1 / np.mean(hits), rel=0.1)
    assert [row["highest"] for row in found["quality_at_size"]] == [32, 128, 512]


def test_above_the_cap_nothing_is_claimed_of_quality() -> None:
    found = range_sensitivity(job(searched(128, 200)))
    assert [row["highest"] for row in found["quality"]] == [32, 128]


def test_a_cap_that_is_small_enough_says_nothing_of_wider_ranges() -> None:
    records = [trial(n, 8, loss=0.4) for n in range(4)]
    found = range_sensitivity(job(records))
    assert [row["highest"] for row in found["quality_at_size"]] == [32, 128]


def test_bounds_stay_bounds_and_are_stretched_too() -> None:
    records = [trial(n, 100, loss=0.4) for n in range(16)]
    rows = range_sensitivity(job(records))["quality_at_size"]
    assert [row["runs"]["bound"] for row in rows] == [True, True]
    stretch = math.log(513 / 2) / math.log(129 / 2)
    assert rows[1]["runs"]["low"] == pytest.approx(rows[0]["runs"]["low"] * stretch)
    assert rows[0]["runs"]["low"] == pytest.approx(5.9, abs=0.05)


def test_without_random_search_there_is_nothing_to_tell() -> None:
    assert range_sensitivity(job([])) == {}

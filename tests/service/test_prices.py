import dataclasses

import numpy as np
import pytest

from senn_ray.config import BaselineConfig
from senn_ray.core.records import Cost, RunRecord
from senn_ray.service.outlook import buys
from senn_ray.service.prices import (
    LONG,
    OFTEN,
    SHORT,
    Length,
    Parts,
    Prices,
    check_price,
    parts_of,
    widths,
)
from tests.search.executor_suite import make_record, make_spec

ONCE, STEP, EVALUATION, CHECK = 500.0, 3.0, 7.0, 40.0


def used(width: int, steps: int, evaluations: int, checks: int = 0) -> RunRecord:
    """A run whose work is linear in all it does, and in its width."""
    parts = ONCE + steps * STEP + evaluations * EVALUATION + checks * CHECK
    work = parts * width
    cost = Cost(
        steps=steps,
        sample_visits=round(work),
        flops=10 * work,
        device_s=work / 100,
        growth_s=checks * CHECK * width / 100,
    )
    record = make_record(make_spec("x", width=width))
    moments = (None,) * evaluations
    return dataclasses.replace(
        record,
        cost=cost,
        checks=checks,
        evaluations=moments,
    )


def prices() -> Prices:
    parts = {
        w: parts_of(*(used(w, *size) for size in (SHORT, OFTEN, LONG)))
        for w in (2, 45, 1024)
    }
    checks = {w: check_price(used(w, 4, 2, checks=2), parts[w]) for w in (2, 45)}
    return Prices(params={2: 31, 45: 676, 1024: 15361}, parts=parts, checks=checks)


@pytest.mark.parametrize("width", [2, 10, 45, 300, 1024])
def test_linear_work_is_predicted_exactly_at_any_width(width: int) -> None:
    length = Length(steps=1000, evaluations=40, checks=21)
    for growing in (False, True):
        truth = used(width, 1000, 40, checks=21 if growing else 0).cost
        found = prices().cost(width, length, growing=growing)
        assert found.steps == truth.steps
        assert found.sample_visits == pytest.approx(truth.sample_visits)
        assert found.flops == pytest.approx(truth.flops)
        assert found.device_s == pytest.approx(truth.device_s)
        assert found.growth_s == pytest.approx(truth.growth_s)


def test_parameters_are_linear_in_the_width() -> None:
    assert [prices().params_at(w) for w in (2, 10, 1024)] == [31, 151, 15361]


def test_noise_of_the_clock_never_makes_a_negative_price() -> None:
    short, often, long = (used(2, *size) for size in (SHORT, OFTEN, LONG))
    fast = dataclasses.replace(long, cost=dataclasses.replace(long.cost, device_s=0.0))
    found = parts_of(short, often, fast)
    for part in (found.once, found.step, found.evaluation):
        assert (part >= 0).all()


def test_one_width_is_enough_if_the_job_has_only_one() -> None:
    zeros = np.zeros(3)
    parts = Parts(once=zeros, step=np.array([1.0, 2.0, 3.0]), evaluation=zeros)
    single = Prices(params={4: 10}, parts={4: parts}, checks={4: zeros})
    length = Length(steps=10, evaluations=1, checks=0)
    assert single.cost(4, length, growing=True).flops == 20
    assert widths(4, 4) == [4]
    assert widths(2, 1024) == [2, 45, 1024]


@pytest.mark.parametrize(
    ("hits", "low", "high"), [(1, 2.2, 396), (8, 5.3, 22.6), (20, 6.7, 16.1)]
)
def test_what_a_budget_buys_is_the_planning_table(
    hits: int, low: float, high: float
) -> None:
    row = buys(BaselineConfig(until_hits=hits, max_trials=10 * hits), truth=10)
    assert (row["hits"], row["trials"]) == (hits, 10 * hits)
    assert row["low"] == pytest.approx(low, rel=0.03)
    assert row["high"] == pytest.approx(high, rel=0.03)


def test_a_budget_too_small_for_a_hit_buys_a_bound() -> None:
    row = buys(BaselineConfig(max_trials=16), truth=40)
    assert (row["hits"], row["high"]) == (0, None)
    assert row["low"] == pytest.approx(5.9, abs=0.05)

"""Simulations with a known truth; each could fail, as the last one shows."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from senn_ray.analysis.exchange import UNKNOWN, Exchange, exchange, resample
from senn_ray.analysis.statistics import Interval, Runs, cost_to_hit, reach

SIMULATIONS = 800
DRAWS = 400
# The promise is 0.95. Coverage 0.95 of 800 simulations has a standard error of 0.008.
LEAST_COVERAGE = 0.93


def normal_cdf(z: float) -> float:
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


def make(losses: np.ndarray, params: np.ndarray | float = 100.0) -> Runs:
    count = len(losses)
    costs = np.stack([np.ones(count), np.full(count, 7.0)], axis=1)
    return Runs(
        losses=losses, params=np.broadcast_to(params, count).astype(float), costs=costs
    )


def singles(runs: Runs) -> list[Runs]:
    return [
        Runs(
            losses=runs.losses[i : i + 1],
            params=runs.params[i : i + 1],
            costs=runs.costs[i : i + 1],
        )
        for i in range(len(runs.losses))
    ]


def contains(interval: Interval, value: float) -> bool:
    if interval.low is None:
        return True
    return interval.low <= value <= (interval.high or math.inf)


def simulate(one: Callable[[np.random.Generator], bool]) -> float:
    rng = np.random.default_rng(20240601)
    return float(np.mean([one(rng) for _ in range(SIMULATIONS)]))


def quality(
    rng: np.random.Generator, seeds: int, trials: int, shift: float
) -> Exchange:
    senn = make(rng.normal(size=seeds))
    arm = make(rng.normal(shift, size=trials))
    seed = int(rng.integers(2**31))
    return exchange(
        resample(senn, size_factor=None, seed=seed, draws=DRAWS), singles(arm)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "trials", "shift"), [(5, 32, 0.0), (5, 32, 1.0), (10, 64, 1.0)]
)
def test_the_interval_of_the_rate_covers_the_truth(
    seeds: int, trials: int, shift: float
) -> None:
    truth = 0.5 / normal_cdf(-shift)
    covered = simulate(
        lambda rng: contains(quality(rng, seeds, trials, shift).rate[0], truth)
    )
    assert covered >= LEAST_COVERAGE


def study(rng: np.random.Generator, shift: float, gain: float) -> np.ndarray:
    """Draw the losses of a study of 8 trials that gets better as it learns."""
    return rng.normal(shift - gain * np.arange(8))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("studies", "shift", "gain"),
    [(4, 1.0, 0.0), (4, 2.0, 0.2), (8, 1.0, 0.2)],
    ids=["4-alike", "4-learning", "8-learning"],
)
def test_the_interval_covers_the_truth_of_studies_too(
    studies: int, shift: float, gain: float
) -> None:
    many = np.random.default_rng(1).normal(shift - gain * np.arange(8), size=(10**5, 8))
    hit = many <= 0
    used = np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, 8)
    truth = used.mean() / hit.any(axis=1).mean() / 2

    def one(rng: np.random.Generator) -> bool:
        senn = make(rng.normal(size=5))
        arm = [make(study(rng, shift, gain)) for _ in range(studies)]
        seed = int(rng.integers(2**31))
        found = exchange(resample(senn, size_factor=None, seed=seed, draws=DRAWS), arm)
        return contains(found.rate[0], truth)

    assert simulate(one) >= LEAST_COVERAGE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "searches", "trials"),
    [(5, 32, 1), (10, 16, 1), (5, 3, 1), (5, 4, 8)],
    ids=["random", "few-random", "once", "studies"],
)
def test_two_identical_arms_are_told_to_be_alike(
    seeds: int, searches: int, trials: int
) -> None:
    rates: list[float] = []

    def one(rng: np.random.Generator) -> bool:
        senn = make(rng.normal(size=seeds))
        arm = [make(rng.normal(size=trials)) for _ in range(searches)]
        seed = int(rng.integers(2**31))
        found = exchange(resample(senn, size_factor=None, seed=seed, draws=DRAWS), arm)
        rates.append(found.rate[0].estimate or math.inf)
        return contains(found.rate[1], 1.0) and contains(found.saved, 0.0)

    assert simulate(one) >= LEAST_COVERAGE
    # In between: with three runs of an arm the rate is 1/2, 1 or 2 times something.
    assert 0.5 <= float(np.median(rates)) <= 1.5


@pytest.mark.slow
def test_the_interval_covers_at_size_too() -> None:
    spread, small = 0.08, 0.3
    truth = 0.5 * normal_cdf(math.log(1.1) / spread) / (0.5 * small)

    def one(rng: np.random.Generator) -> bool:
        senn = make(rng.normal(size=5), 1000 * np.exp(spread * rng.normal(size=5)))
        arm = make(rng.normal(size=32), np.where(rng.random(32) < small, 900, 2000))
        found = exchange(resample(senn, size_factor=1.1, draws=DRAWS), singles(arm))
        return contains(found.rate[0], truth)

    assert simulate(one) >= LEAST_COVERAGE


def test_a_target_treated_as_known_would_cover_too_little() -> None:
    """The control: without resampling the targets, the same check fails."""
    truth = 0.5 / normal_cdf(-1.0)

    def one(rng: np.random.Generator) -> bool:
        target = float(np.median(rng.normal(size=5)))
        arm = make(rng.normal(1.0, size=64))
        reached = reach(singles(arm), target, math.inf)
        runs = cost_to_hit(reached, adaptive=False)[0]
        low, high = (runs.low or 0.0) / 2, (runs.high or math.inf) / 2
        return low <= truth <= high

    assert simulate(one) < LEAST_COVERAGE


def test_saved_runs_and_rates_are_plug_in_values() -> None:
    senn = make(np.array([0.1, 0.2, 0.3, 0.4, 0.5]))
    arm = make(np.array([0.25] * 2 + [0.9] * 8))
    found = exchange(resample(senn, size_factor=None, draws=DRAWS), singles(arm))
    # Two of ten hit: 5 runs; a fresh self-expanding run hits with probability 1/2.
    assert found.rate[0].estimate == pytest.approx(2.5)
    assert found.rate[1].estimate == pytest.approx(2.5)
    assert found.saved.estimate == pytest.approx(3.0)
    assert found.senn_cost[1].estimate == pytest.approx(14.0)
    assert found.chance_above_one[0] > 0.5


def test_an_arm_that_never_hits_gives_a_bound_not_infinity() -> None:
    senn = make(np.array([0.1, 0.2, 0.3, 0.4, 0.5]))
    found = exchange(resample(senn, size_factor=None), singles(make(np.full(64, 9.0))))
    assert found.rate[0].bound
    assert found.saved.bound
    assert found.rate[0].estimate is None
    # 21.9 runs at least, against 2.
    assert found.saved.low == pytest.approx(19.9, rel=0.1)


def test_growing_runs_that_never_are_small_and_good_give_no_rate() -> None:
    senn = make(np.array([0.1, 0.2, 0.3, 0.4]), np.array([900.0, 900, 100, 100]))
    arm = make(np.array([0.1, 0.9]), 100)
    found = exchange(resample(senn, size_factor=1.1, draws=DRAWS), singles(arm))
    assert set(found.rate) == {UNKNOWN}
    assert found.saved == UNKNOWN


def test_a_currency_nobody_measured_is_unknown() -> None:
    senn, arm = make(np.array([0.1, 0.2, 0.3])), make(np.array([0.1, 0.9]))
    for runs in (senn, arm):
        runs.costs[:, 1] = 0.0
    found = exchange(resample(senn, size_factor=None, draws=DRAWS), singles(arm))
    assert found.rate[1] == UNKNOWN
    assert found.rate[0].estimate is not None


def test_failed_growing_runs_make_self_expansion_dearer() -> None:
    arm = singles(make(np.array([0.15, 0.9])))
    well = make(np.array([0.1, 0.2, 0.3]))
    hurt = make(np.array([0.1, 0.2, 0.3, math.inf, math.inf, math.inf]))
    rates = [
        exchange(resample(senn, size_factor=None, draws=DRAWS), arm).rate[0].estimate
        for senn in (well, hurt)
    ]
    assert rates == pytest.approx([1.0, 0.5])


def test_the_same_seed_gives_the_same_interval() -> None:
    senn, arm = make(np.array([0.1, 0.2, 0.3])), singles(make(np.array([0.1, 0.9])))
    first, again = (
        exchange(resample(senn, size_factor=1.1, seed=3, draws=DRAWS), arm)
        for _ in range(2)
    )
    assert first == again

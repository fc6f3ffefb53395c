"""Fronts and hypervolumes agree with slow, obvious references."""

import itertools
import math

import numpy as np
import pytest

from senn_ray.analysis.fronts import (
    after,
    between,
    depths,
    front,
    hypervolume,
    least_runs,
    make_box,
    runs_until,
)
from senn_ray.analysis.statistics import Floats, Runs, clopper_pearson

LEAST, MOST, GUESS = 10.0, 1000.0, 2.0
SEEDS = range(5)


def some_networks(seed: int, count: int = 12) -> Runs:
    """Make networks in and around the box, some worse than the constant predictor."""
    rng = np.random.default_rng(seed)
    return Runs(
        losses=rng.uniform(0.05, 2.5, count),
        params=rng.integers(5, 2000, count).astype(np.float64),
        costs=np.ones((count, 1)),
    )


def by_rectangles(known: Runs) -> float:
    """Add up the cells of the plane that some network dominates, over the width."""
    points = [
        (max(math.log(p), math.log(LEAST)), math.log(loss))
        for p, loss in zip(known.params, known.losses, strict=True)
    ]
    xs = sorted({math.log(LEAST), math.log(MOST), *(x for x, _ in points)})
    ys = sorted({math.log(GUESS), *(y for _, y in points)})
    area = 0.0
    for (left, right), (low, high) in itertools.product(
        itertools.pairwise(xs), itertools.pairwise(ys)
    ):
        inside = right <= math.log(MOST) and high <= math.log(GUESS)
        if inside and any(x <= left and y <= low for x, y in points):
            area += (right - left) * (high - low)
    return area / math.log(MOST / LEAST)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_hypervolume_is_the_area_of_the_rectangles(seed: int) -> None:
    known = some_networks(seed)
    box = make_box(known.params, LEAST, MOST, GUESS)
    assert box.weights.sum() == pytest.approx(1)
    found = hypervolume(depths(front(known, box.sizes), box), box)
    assert found == pytest.approx(by_rectangles(known))


def test_one_network_that_is_everywhere_e_times_better_has_hypervolume_one() -> None:
    known = Runs(
        losses=np.array([GUESS / math.e]), params=np.array([1.0]), costs=np.ones((1, 1))
    )
    box = make_box(known.params, LEAST, MOST, GUESS)
    assert hypervolume(depths(front(known, box.sizes), box), box) == pytest.approx(1)


def test_sizes_that_others_have_cut_the_box_and_change_no_hypervolume() -> None:
    known, others = some_networks(0), some_networks(1, 40)
    both = np.concatenate([known.params, others.params])
    own, cut = (make_box(p, LEAST, MOST, GUESS) for p in (known.params, both))
    volumes = [hypervolume(depths(front(known, b.sizes), b), b) for b in (own, cut)]
    assert volumes[0] == pytest.approx(volumes[1])


def test_a_loss_of_nought_and_one_without_a_number_leave_it_finite() -> None:
    known = Runs(
        losses=np.array([0.0, np.inf]),
        params=np.array([50.0, 20]),
        costs=np.ones((2, 1)),
    )
    box = make_box(known.params, LEAST, MOST, GUESS)
    found = hypervolume(depths(front(known, box.sizes), box), box)
    assert 0 < found < math.inf


@pytest.mark.parametrize("seed", SEEDS)
def test_the_front_is_the_least_loss_at_no_more_than_each_size(seed: int) -> None:
    known = some_networks(seed)
    sizes = np.array([1.0, 10, 77, 300, 2500])
    for size, found in zip(sizes, front(known, sizes), strict=True):
        small = known.losses[known.params <= size]
        assert found == small.min(initial=np.inf)


def test_between_networks_the_front_is_a_line_in_logarithms() -> None:
    known = Runs(
        losses=np.array([0.1, 0.4, 0.5]),
        params=np.array([400.0, 100, 200]),
        costs=np.ones((3, 1)),
    )
    found = between(known, np.array([50.0, 100, 200, 400, 800]))
    # The network of 200 is worse than that of 100, so it is not on the front.
    assert found[1:].tolist() == pytest.approx([0.4, 0.2, 0.1, 0.1])
    assert math.isnan(found[0])


def of_runs(seed: int, count: int = 7) -> tuple[Floats, Floats]:
    """Make the depths of some runs, and the weights of the sizes."""
    rng = np.random.default_rng(seed)
    return rng.exponential(size=(count, 4)), rng.dirichlet(np.ones(4))


@pytest.mark.parametrize("k", [1, 2, 5, 7])
def test_after_k_runs_is_the_mean_over_all_subsets(k: int) -> None:
    deep, weights = of_runs(0)
    subsets = [deep[list(s)].max(axis=0) for s in itertools.combinations(range(7), k)]
    assert after(deep, k) @ weights == pytest.approx(np.mean(subsets, axis=0) @ weights)


def one_by_one(deep: Floats, weights: Floats, target: float) -> float:
    """Draw runs with replacement until they reach a target together; many times."""
    rng, counts = np.random.default_rng(1), []
    for _ in range(4000):
        best, count = np.zeros(deep.shape[1]), 0
        while best @ weights < target:
            best, count = np.maximum(best, deep[rng.integers(len(deep))]), count + 1
        counts.append(count)
    return float(np.mean(counts))


@pytest.mark.parametrize("seed", SEEDS)
def test_runs_until_a_target_are_those_of_drawing_one_by_one(seed: int) -> None:
    deep, weights = of_runs(seed)
    target = 0.95 * float(deep.max(axis=0) @ weights)
    found = runs_until(
        deep,
        lambda d: d @ weights >= target,
        without=0.0,
        rng=np.random.default_rng(0),
    )
    assert found.estimate == pytest.approx(one_by_one(deep, weights, target), rel=0.05)
    low, estimate, high = found.low, found.estimate, found.high
    assert low is not None and estimate is not None and high is not None  # noqa: PT018
    assert 1 <= low < estimate < high


@pytest.mark.parametrize(("hits", "count"), [(1, 8), (3, 8), (8, 8), (4, 32)])
def test_where_single_runs_reach_it_the_interval_is_exact(
    hits: int, count: int
) -> None:
    deep = np.zeros((count, 1))
    deep[:hits] = 1
    found = runs_until(
        deep, lambda d: d[..., 0] > 0, without=0.0, rng=np.random.default_rng(0)
    )
    low, high = clopper_pearson(hits, count)
    assert found.estimate == pytest.approx(count / hits, rel=0.05)
    assert found.low == pytest.approx(1 / high, rel=0.25)
    assert found.high == pytest.approx(1 / low, rel=0.25)


def test_runs_that_never_reach_it_give_a_bound() -> None:
    found = runs_until(
        np.ones((9, 2)),
        lambda d: d.min(axis=-1) > 1,
        without=least_runs(9),
        rng=np.random.default_rng(0),
    )
    assert (found.estimate, found.bound) == (None, True)
    assert found.low == least_runs(9)


@pytest.mark.parametrize("parts", [1, 2, 5, 20])
def test_the_bound_of_runs_in_vain_holds_for_fronts_of_many_parts(parts: int) -> None:
    # To collect all parts of a front, one by chance in each run, takes the longer the
    # more there are: the number of runs that 5 % of collectors exceed bounds the mean.
    rng = np.random.default_rng(0)
    needed = rng.geometric(0.3, size=(4000, parts)).max(axis=1)
    in_vain = int(np.quantile(needed, 0.95))
    assert least_runs(in_vain) <= needed.mean() * 1.02


def test_more_runs_in_vain_give_a_greater_bound() -> None:
    bounds = [least_runs(n) for n in range(1, 65)]
    assert bounds[0] == 1
    assert bounds == sorted(bounds)
    assert bounds[31] > 9

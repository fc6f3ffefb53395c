"""Fronts of size against loss: how good they are as a whole, and when one is reached.

The *front* of some networks is the least loss at no more than each size: a falling
staircase. Its *depth* at a size is log(loss of the constant predictor / front), 0 where
that is negative or there is no network so small; its *hypervolume* the mean depth over
the sizes, on the scale of their logarithm: the area between the front and the reference
point, over the width of that area. So exp(hypervolume) tells how many times below the
constant predictor the front is, as a geometric mean over sizes.

What several networks reach together is the greater depth at every size. All arrays of
depths have the sizes last.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from senn_ray.analysis.curves import subset_weights
from senn_ray.analysis.intervals import Interval
from senn_ray.analysis.statistics import (
    CONFIDENCE,
    TAIL,
    Floats,
    Runs,
    lower_bound,
    ordered_interval,
)

LEAST_LOSS = 1e-9
"""Smaller losses count as this one: the logarithm of 0 would decide everything."""
RESAMPLED, ORDERS = 200, 25
"""Times that runs are weighted anew for an interval, and orders of each."""
MOST_AT_ONCE = 500_000
"""Numbers in an array of orders."""
MOST_NUMBERS = 200_000_000
ROUNDING = 1e-12
Reaches = Callable[[Floats], NDArray[np.bool_]]
"""Whether depths [..., g] are enough [...]; greater ones must be, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """The part of the plane in which hypervolume is measured, cut at the sizes that occur."""

    sizes: Floats
    """[g]: parameters at the lower end of each piece, ascending."""
    weights: Floats
    """[g]: each piece's share of the box, on a logarithmic scale."""
    val_loss: float
    """Of the constant predictor."""


def make_box(params: Floats, least: float, most: float, val_loss: float) -> Box:
    """Cut the range of sizes at those that occur.

    Args:
        params: Of all networks whose fronts are to be measured.
        least: Parameters at the lower end.
        most: Parameters of the reference point; more than ``least``.
        val_loss: Loss of the reference point.
    """
    inside = np.unique(params[(params > least) & (params < most)])
    edges = np.concatenate([[least], inside, [most]])
    weights = np.diff(np.log(edges)) / math.log(most / least)
    return Box(sizes=edges[:-1], weights=weights, val_loss=val_loss)


def front(known: Runs, sizes: Floats) -> Floats:
    """Return the least loss at no more than each size [g]; infinite without a network."""
    order = np.argsort(known.params, kind="stable")
    least = np.minimum.accumulate(known.losses[order])
    places = np.searchsorted(known.params[order], sizes, side="right")
    return np.concatenate([[np.inf], least])[places]


def between(known: Runs, sizes: Floats) -> Floats:
    """Return the front between its networks too, on a line in both logarithms [g].

    The staircase is unjust where two ladders of sizes are compared at the rungs of one:
    the other's next rung is smaller by chance. Above the largest network the front stays
    as it is, below the smallest it is not a number.
    """
    own = np.unique(known.params)
    losses = front(known, own)
    kept = np.isfinite(losses) & (np.diff(losses, prepend=np.inf) < 0)
    if not kept.any():
        return np.full(len(sizes), np.nan)
    logs = np.log(np.maximum(losses[kept], LEAST_LOSS))
    found = np.interp(np.log(sizes), np.log(own[kept]), logs, left=np.nan)
    return np.exp(found)


def depths(losses: Floats, box: Box) -> Floats:
    """Return the depths of fronts given at the sizes of a box [..., g]."""
    most = max(box.val_loss, LEAST_LOSS)
    return np.log(most / np.clip(losses, LEAST_LOSS, most))


def hypervolume(deep: Floats, box: Box) -> Floats:
    """Return the hypervolume of depths [..., g]: [...]."""
    return deep @ box.weights


def after(deep: Floats, k: int) -> Floats:
    """Return the expected depth of k runs out of n together, over all subsets [g].

    Args:
        deep: Of each run [n, g].
        k: Number of runs, at most n.
    """
    weights = subset_weights(len(deep), k)
    return weights @ -np.sort(-deep, axis=0)[: len(weights)]


def runs_until(
    deep: Floats, reaches: Reaches, *, without: float, rng: np.random.Generator
) -> Interval:
    """Estimate the runs that it takes until all of them together are good enough.

    Runs are independent draws from those that are known, with replacement, so that for a
    target that a single network reaches the estimate is n / hits, as elsewhere. Each end
    of the interval is that of runs weighted anew (Dirichlet), among them a run of
    weight 1 that has nothing (for the high end) or everything (for the low end): where
    single runs reach the target, that is the interval of Clopper and Pearson.

    Args:
        deep: Of each run [n, g].
        reaches: What is good enough.
        without: One-sided bound of the runs, where all of them together are not.
        rng: For the resampling.
    """
    best = deep.max(axis=0)
    if not reaches(best):
        return lower_bound(without)
    count, wanted = len(deep), RESAMPLED * ORDERS
    most = max(MOST_NUMBERS // deep.size, RESAMPLED)
    draws = min(wanted, most)
    equal = np.full((draws, count), 1 / count)
    estimate = float(_draws_until(deep, equal, reaches, rng).mean())
    ends = []
    for extra, tail in ((best, TAIL), (np.zeros_like(best), 1 - TAIL)):
        atoms = np.concatenate([deep, extra[None]])
        weights = rng.dirichlet(np.ones(count + 1), size=draws // ORDERS)
        found = _draws_until(atoms, np.repeat(weights, ORDERS, axis=0), reaches, rng)
        ends.append(np.quantile(found.reshape(-1, ORDERS).mean(axis=1), tail))
    return ordered_interval(estimate, *map(float, ends))


def _draws_until(
    atoms: Floats, weights: Floats, reaches: Reaches, rng: np.random.Generator
) -> Floats:
    """Return the expected draws until a target is reached, for one order each [d].

    The order in which runs come up for the first time is drawn (by exponential clocks);
    given that, the draws for the next new one are geometric, and their mean is known.
    """
    found, at_once = list[Floats](), max(MOST_AT_ONCE // atoms.size, 1)
    for part in np.array_split(weights, math.ceil(len(weights) / at_once)):
        with np.errstate(divide="ignore"):
            order = np.argsort(rng.exponential(size=part.shape) / part, axis=1)
        enough = reaches(np.maximum.accumulate(atoms[order], axis=1))
        ordered = np.take_along_axis(part, order, axis=1)
        seen = np.cumsum(ordered, axis=1) - ordered
        waits = np.cumsum(1 / np.maximum(1 - seen, ROUNDING), axis=1)
        first = enough.argmax(axis=1)
        found.append(waits[np.arange(len(part)), first])
    return np.concatenate(found)


def least_runs(count: int) -> float:
    """Return the one-sided 95 % lower bound of the runs to a front, after so many in vain.

    If n runs together are not good enough, nor is any of the n // b blocks of b runs
    among them, and these are independent. So the chance that b runs are not enough is at
    least 0.05^(1 / (n // b)), for every b, and the expected number of runs is the sum of
    these chances over b = 0, 1, ...
    """
    alpha = 1 - CONFIDENCE
    return 1 + sum(alpha ** (1 / (count // block)) for block in range(1, count))

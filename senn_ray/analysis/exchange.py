"""The exchange rate: what an arm pays for a hit, over what self-expanding runs pay.

The targets are statistics of the self-expanding runs, so their noise must reach the
result. Every draw resamples these runs, computes the targets again, counts the hits of
the arm against them, and draws the arm's hit probability from a Beta distribution. A
target treated as known would give intervals that are too narrow.

Hit probability of self-expanding runs. Asking the very runs that set the target how
often they reach it flatters them (3 of 5 do). A fresh, exchangeable run reaches the
median loss with probability one half, whatever the distribution; that is used. Of
those that reach the loss, the share that is also small enough is counted.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from senn_ray.analysis.results import Interval
from senn_ray.analysis.statistics import (
    CONFIDENCE,
    DRAWS,
    Floats,
    Runs,
    Searches,
    cost_draws,
    lower_bound,
    ordered_interval,
    percentiles,
    reach,
    stacked,
)

UNKNOWN = Interval(estimate=None, low=None, high=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """One arm against the self-expanding runs; lists have one entry per currency."""

    senn_cost: list[Interval]
    rate: list[Interval]
    """Cost to a hit of the arm over that of self-expanding runs; 1 if they are alike."""
    saved: Interval
    """Runs to a hit of the arm minus those of self-expanding runs."""
    chance_above_one: list[float]
    """Share of the draws in which the rate is above 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Draws:
    """Resampled self-expanding runs: targets [d], and costs to a hit [d, c]."""

    loss: Floats
    max_params: Floats
    cost: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Resampled:
    """The self-expanding runs of a target: as they are, and resampled."""

    point: _Draws
    drawn: _Draws
    rng: np.random.Generator
    """Where the randomness goes on; every arm begins with the same state."""


def resample(
    senn: Runs, *, size_factor: float | None, seed: int = 0, draws: int = DRAWS
) -> Resampled:
    """Resample the self-expanding runs, and compute targets and costs of each draw.

    Args:
        senn: The self-expanding runs, at least one of which completed.
        size_factor: Parameters allowed, as a multiple of the median of ``senn``; or
            nothing for quality alone.
        seed: Seed of the resampling, so that a report can be computed again.
        draws: How many times to resample.
    """
    rng = np.random.default_rng(seed)
    count = len(senn.losses)
    rows = rng.integers(count, size=(draws, count))
    drawn = _resample(senn, rows, size_factor, rng)
    point = _resample(senn, np.arange(count)[None, :], size_factor, None)
    return Resampled(point=point, drawn=drawn, rng=rng)


def exchange(senn: Resampled, searches: Sequence[Runs]) -> Exchange:
    """Compare an arm with self-expanding runs, for one target.

    Returns:
        Plug-in estimates with 95 % intervals; bounds if the arm never hit; nothing
        where self-expanding runs never reach the target themselves.
    """
    point, drawn, rng = senn.point, senn.drawn, copy.deepcopy(senn.rng)
    known_searches = stacked(searches)
    reached = reach(known_searches, float(point.loss[0]), float(point.max_params[0]))
    known = bool(reached.hits.any())
    ours, our_draws = point.cost[0], drawn.cost
    theirs = reached.costs.sum(axis=0) / max(int(reached.hits.sum()), 1)
    their_draws = _arm_draws(known_searches, drawn, rng)
    # A currency that was not measured is 0 / 0: not a number, shown as unknown.
    with np.errstate(divide="ignore", invalid="ignore"):
        rate, rate_draws = theirs / ours, their_draws / our_draws
        saved, saved_draws = theirs - ours, their_draws - our_draws
    if not np.isfinite(ours[0]):
        return _no_exchange(len(ours))
    return Exchange(
        senn_cost=_intervals(ours, our_draws, known=True),
        rate=_intervals(rate, rate_draws, known=known),
        saved=_intervals(saved, saved_draws, known=known)[0],
        chance_above_one=[float(p) for p in (rate_draws > 1).mean(axis=0)],
    )


def _resample(
    senn: Runs,
    rows: np.ndarray,
    size_factor: float | None,
    rng: np.random.Generator | None,
) -> _Draws:
    """Compute targets and costs of resampled runs; without ``rng``, plug-in values."""
    rows = rows[np.isfinite(senn.losses)[rows].any(axis=1)]
    losses, good = senn.losses[rows], np.isfinite(senn.losses)[rows]
    params = np.where(good, senn.params[rows], np.nan)
    # Several times as slow, so only where runs failed.
    median = np.median if good.all() else np.nanmedian
    loss = median(np.where(good, losses, np.nan), axis=1)
    max_params, share = np.full(len(rows), np.inf), np.ones(len(rows))
    if size_factor is not None:
        max_params = np.floor(size_factor * median(params, axis=1) + 1e-9)
        met = good & (losses <= loss[:, None])
        small = (met & (params <= max_params[:, None])).sum(axis=1)
        share = _share(small, met.sum(axis=1), rng)
    with np.errstate(divide="ignore"):
        runs = 1 / (good.mean(axis=1) * 0.5 * share)
    cost = senn.costs[rows].mean(axis=1) * runs[:, None]
    return _Draws(loss=loss, max_params=max_params, cost=cost)


def _share(
    small: np.ndarray, met: np.ndarray, rng: np.random.Generator | None
) -> Floats:
    if rng is None:
        return small / met
    return rng.beta(small + 0.5, met - small + 0.5)


def _arm_draws(searches: Searches, drawn: _Draws, rng: np.random.Generator) -> Floats:
    """Draw costs to a hit of the arm against each drawn target: [d, c]."""
    targets = np.stack([drawn.loss, drawn.max_params], axis=1)
    distinct, which = np.unique(targets, axis=0, return_inverse=True)
    result = np.empty((len(targets), searches.spent.shape[2]))
    for number, (loss, max_params) in enumerate(distinct):
        rows = np.flatnonzero(which.reshape(-1) == number)
        reached = reach(searches, float(loss), float(max_params))
        result[rows] = cost_draws(reached, rng, len(rows))
    return result


def _intervals(estimate: Floats, draws: Floats, *, known: bool) -> list[Interval]:
    """Make one interval per column of ``draws``; a bound if there is no estimate."""
    if known:
        ends = zip(estimate, *percentiles(draws), strict=True)
        return [ordered_interval(*e) if np.isfinite(e[0]) else UNKNOWN for e in ends]
    lows = np.quantile(draws, 1 - CONFIDENCE, axis=0, method="lower")
    return [lower_bound(low) if np.isfinite(low) else UNKNOWN for low in lows]


def _no_exchange(currencies: int) -> Exchange:
    nothing = [UNKNOWN] * currencies
    return Exchange(
        senn_cost=nothing,
        rate=nothing,
        saved=UNKNOWN,
        chance_above_one=[0.0] * currencies,
    )

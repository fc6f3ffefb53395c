"""Runs to a hit as a distribution: the median number of runs that a hit takes.

Searches of adaptive arms may be censored: a study that ended without a hit after 8 runs
tells that it takes more than 8. The estimate is that of Kaplan and Meier. Its interval
at k is exact: of the searches that were followed for k runs (or hit before), the number
that hit is binomial. Studies of one arm are equally long, so this loses nothing, and it
holds for as few as there are, where Greenwood's formula does not.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from senn_ray.analysis.distributions import clopper_pearson
from senn_ray.analysis.results import Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """The chance that no hit has come after so many runs, with its 95 % interval."""

    runs: int
    chance: float
    low: float
    high: float


def waiting(runs: Sequence[float], hits: Sequence[bool]) -> Iterator[Waiting]:
    """Estimate the distribution of the runs to a hit from searches.

    Args:
        runs: What each search used until it hit, or until its end.
        hits: Whether it hit; if not, it is censored at its end.

    Yields:
        One entry for each number of runs, from 1 to the longest search.
    """
    ends = list(zip(runs, hits, strict=True))
    chance = 1.0
    for k in range(1, int(max(runs, default=0)) + 1):
        at_risk = sum(end >= k for end, _ in ends)
        now = sum(hit and end == k for end, hit in ends)
        chance *= 1 - now / at_risk
        followed = sum(end >= k or hit for end, hit in ends)
        so_far = sum(hit and end <= k for end, hit in ends)
        low, high = clopper_pearson(so_far, followed)
        yield Waiting(
            runs=k,
            chance=chance,
            low=min(1 - high, chance),
            high=max(1 - low, chance),
        )


def median_runs(runs: Sequence[float], hits: Sequence[bool]) -> Interval:
    """Return the number of runs after which half of the searches have hit.

    Nothing stands for more than was tried. The interval holds every number of runs at which the curve's interval leaves one
    half open (Brookmeyer and Crowley).

    Args:
        runs: What each search used until it hit, or until its end.
        hits: Whether it hit.
    """
    curve = list(waiting(runs, hits))

    def first(values: Sequence[float]) -> float | None:
        reached = (w.runs for w, v in zip(curve, values, strict=True) if v <= HALF)
        return next((float(runs) for runs in reached), None)

    return Interval(
        estimate=first([w.chance for w in curve]),
        low=first([w.low for w in curve]),
        high=first([w.high for w in curve]),
    )


def geometric_median(probability: float) -> float | None:
    """Return the median number of independent trials to a hit.

    Args:
        probability: Of a hit in one trial.
    """
    if probability <= 0:
        return None
    if probability >= 1:
        return 1.0
    return float(max(1, math.ceil(math.log(0.5) / math.log1p(-probability) - 1e-9)))


HALF = 0.5 + 1e-12

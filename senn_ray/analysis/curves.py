"""Best-so-far curves: what an arm is expected to have after so many runs."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from senn_ray.analysis.results import BestOf
from senn_ray.analysis.statistics import Runs, mean_interval
from senn_ray.analysis.tuning_curves import best_of, median_best_of


def curve(
    searches: Sequence[Runs], currencies: Sequence[str], *, adaptive: bool
) -> list[BestOf]:
    """Compute the best loss and the mean cost after 1, 2, ... runs.

    Args:
        searches: Studies; or for independent trials, one that holds all of them.
        currencies: Names of the columns of the costs.
        adaptive: Whether the order of runs inside a search means something. If not,
            the unbiased mean over all subsets is used; if so, the mean over studies,
            each of which keeps its last best after its end.

    Returns:
        Of every number of runs up to 64, then of ever fewer (5 % apart) and the last:
        the expected and the median best loss; ``low`` and ``high`` are the 95 %
        interval of the median for independent trials (exact), of the mean over studies
        for adaptive ones (Student's t); nothing where the data do not give one. An
        infinite loss means that some of the subsets or studies had only failures.
    """
    points = _over_studies(searches) if adaptive else _over_subsets(searches)
    return [
        BestOf(
            runs=number,
            **losses,
            cost=dict(zip(currencies, map(float, cost), strict=True)),
        )
        for number, losses, cost in points
    ]


Point = tuple[int, dict[str, float | None], np.ndarray]
EVERY = 64
STEP = 1.05


def counted(most: int) -> list[int]:
    """List numbers of runs: a curve of thousands of points shows no more than these."""
    counts = list(range(1, min(most, EVERY) + 1))
    while counts and counts[-1] < most:
        counts.append(min(math.ceil(counts[-1] * STEP), most))
    return counts


def _over_subsets(searches: Sequence[Runs]) -> Iterator[Point]:
    losses = [float(x) for search in searches for x in search.losses]
    if not losses:
        return
    mean = np.concatenate([search.costs for search in searches]).mean(axis=0)
    for k in counted(len(losses)):
        middle = median_best_of(losses, k)
        yield (
            k,
            {
                "val_loss": best_of(losses, k),
                "median": middle.estimate,
                "low": middle.low,
                "high": middle.high,
            },
            k * mean,
        )


def _over_studies(searches: Sequence[Runs]) -> Iterator[Point]:
    for k in counted(max((len(search.losses) for search in searches), default=0)):
        best = [float(search.losses[:k].min()) for search in searches]
        known = len(best) > 1 and bool(np.isfinite(best).all())
        low, high = mean_interval(best) if known else (None, None)
        costs = [search.costs[:k].sum(axis=0) for search in searches]
        yield (
            k,
            {
                "val_loss": float(np.mean(best)),
                "median": float(np.median(best)),
                "low": low,
                "high": high,
            },
            np.mean(costs, axis=0),
        )

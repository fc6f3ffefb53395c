"""Best-so-far curves: what an arm is expected to have after so many runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from senn_ray.search.statistics import Runs, best_of


def curve(
    searches: Sequence[Runs], currencies: Sequence[str], *, adaptive: bool
) -> list[dict[str, Any]]:
    """Compute the expected best loss and the mean cost after 1, 2, ... runs.

    Args:
        searches: Studies; or for independent trials, one that holds all of them.
        currencies: Names of the columns of the costs.
        adaptive: Whether the order of runs inside a search means something. If not,
            the unbiased mean over all subsets is used; if so, the mean over studies,
            each of which keeps its last best after its end.

    Returns:
        Points ``{runs, val_loss, cost}``; an infinite loss means that some of the
        subsets or studies had only failures by then.
    """
    points = _over_studies(searches) if adaptive else _over_subsets(searches)
    return [
        {
            "runs": number,
            "val_loss": loss,
            "cost": dict(zip(currencies, map(float, cost), strict=True)),
        }
        for number, (loss, cost) in enumerate(points, 1)
    ]


def _over_subsets(searches: Sequence[Runs]) -> list[tuple[float, np.ndarray]]:
    losses = [float(x) for search in searches for x in search.losses]
    if not losses:
        return []
    mean = np.concatenate([search.costs for search in searches]).mean(axis=0)
    return [(best_of(losses, k), k * mean) for k in range(1, len(losses) + 1)]


def _over_studies(searches: Sequence[Runs]) -> list[tuple[float, np.ndarray]]:
    longest = max((len(search.losses) for search in searches), default=0)
    points = []
    for k in range(1, longest + 1):
        loss = float(np.mean([search.losses[:k].min() for search in searches]))
        costs = [search.costs[:k].sum(axis=0) for search in searches]
        points.append((loss, np.mean(costs, axis=0)))
    return points

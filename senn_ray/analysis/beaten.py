"""Runs until an arm beats a self-expanding run: the literal "restarts saved".

For every self-expanding run: K, the number of runs of an arm until its best so far is at
most the loss of this very run. The mean of K is infinite even if both are alike, so it
is never formed: what is told is P(K > k), next to what it would be for two identical
arms, 1 / (k + 1).

``beaten{arm: {quartiles[3], curve[{runs, chance, no_effect}]}}``; a quartile that lies
beyond what was tried is null.
"""

import math
from collections.abc import Sequence
from typing import Any

from senn_ray.analysis.statistics import Runs
from senn_ray.analysis.survival import waiting

QUARTILES = (0.75, 0.5, 0.25)
"""P(K > k) at the quartiles of K."""


def beaten(
    senn: Sequence[float], searches: Sequence[Runs], *, adaptive: bool
) -> dict[str, Any]:
    """Estimate how many runs of an arm it takes to beat a self-expanding run.

    Args:
        senn: Losses of the self-expanding runs; those that failed are infinite.
        searches: The independent searches of the arm.
        adaptive: Whether the order of runs inside a search means something. If not,
            the mean over all orders of the runs is taken, in closed form.
    """
    reached = [loss for loss in senn if math.isfinite(loss)]
    if adaptive:
        chances = _over_studies(reached, searches)
    else:
        losses = [float(x) for search in searches for x in search.losses]
        chances = _over_orders(reached, losses)
    curve = [
        {"runs": k, "chance": chance, "no_effect": 1 / (k + 1)}
        for k, chance in enumerate(chances, 1)
    ]
    quartiles = [
        next((p["runs"] for p in curve if p["chance"] <= q + 1e-12), None)
        for q in QUARTILES
    ]
    return {"quartiles": quartiles, "curve": curve}


def _over_orders(senn: Sequence[float], losses: Sequence[float]) -> list[float]:
    """Mean over the orders: no hit among k of n is C(n - m, k) / C(n, k)."""
    n = len(losses)
    misses = [sum(loss > target for loss in losses) for target in senn]
    return [
        math.fsum(math.comb(m, k) / math.comb(n, k) for m in misses) / len(misses)
        for k in range(1, n + 1)
        if misses
    ]


def _over_studies(senn: Sequence[float], searches: Sequence[Runs]) -> list[float]:
    runs, hits = [], []
    for target in senn:
        for search in searches:
            good = search.losses <= target
            hits.append(bool(good.any()))
            runs.append(int(good.argmax()) + 1 if good.any() else len(good))
    return [point.chance for point in waiting(runs, hits)]

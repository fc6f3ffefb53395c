"""Which form a trend has: a power law, or one that levels off.

Both are fitted to log widths by least squares, and both have two parameters:

    power law     log h = a + b log n
    saturating    log h = log H - log(1 + n0 / n)      H units in the end, half at n0

The second-order criterion of Akaike (Hurvich and Tsai 1989) chooses, k = 3 with the
variance: AICc = N log(RSS / N) + 2k + 2k(k + 1) / (N - k - 1).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from senn_ray.analysis.statistics import Floats
from senn_ray.analysis.trend import Point

PARAMETERS = 3
REACH = 100.0
"""How far below the least and above the greatest size the half point is looked for."""
STEPS = 400
LEAST_RSS = 1e-12
"""Of a perfect fit, whose logarithm would be infinite."""


def forms(points: Sequence[Point]) -> dict[str, Any] | None:
    """Compare a power law with a form that levels off.

    Args:
        points: Converged cells.

    Returns:
        ``chosen`` (``power_law`` or ``saturating``), its ``weight`` (the share of
        Akaike's weights), and of each form its ``aicc`` and parameters; nothing where
        there are too few cells for the criterion.
    """
    if len(points) <= PARAMETERS + 1:
        return None
    n = np.array([point.examples for point in points])
    h = np.log([point.width for point in points])
    power, saturating = _power_law(n, h), _saturating(n, h)
    chosen, other = sorted(
        (("power_law", power), ("saturating", saturating)), key=lambda f: f[1]["aicc"]
    )
    weight = 1 / (1 + math.exp((chosen[1]["aicc"] - other[1]["aicc"]) / 2))
    return {
        "chosen": chosen[0],
        "weight": weight,
        "power_law": power,
        "saturating": saturating,
    }


def _power_law(n: Floats, h: Floats) -> dict[str, float]:
    exponent, start = np.polyfit(np.log(n), h, 1)
    aicc = _aicc(h - start - exponent * np.log(n))
    return {"aicc": aicc, "exponent": float(exponent), "at_one": math.exp(start)}


def _saturating(n: Floats, h: Floats) -> dict[str, float]:
    """Find the half point on a grid; the limit follows in closed form."""
    halves = np.geomspace(n.min() / REACH, n.max() * REACH, STEPS)
    shapes = -np.log1p(halves[:, None] / n)
    limits = (h - shapes).mean(axis=1)
    residuals = h - limits[:, None] - shapes
    best = int((residuals**2).sum(axis=1).argmin())
    return {
        "aicc": _aicc(residuals[best]),
        "limit": math.exp(limits[best]),
        "half": float(halves[best]),
    }


def _aicc(residuals: Floats) -> float:
    count, k = len(residuals), PARAMETERS
    rss = max(float(residuals @ residuals), LEAST_RSS)
    return count * math.log(rss / count) + 2 * k + 2 * k * (k + 1) / (count - k - 1)

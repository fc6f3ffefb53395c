"""Trends of width over the number of examples, with intervals over subset seeds.

A line is fitted to all cells by least squares. Cells of one subset seed belong
together, because their subsets are nested; so the unit of repetition is the subset
seed. Its interval is the jackknife over subset seeds with Student's t: for three seeds
it covers the truth in 95 % of simulated scans. A bootstrap over subset seeds, which is
more usual, covers it in 79 % only: three seeds have ten different resamples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from senn_ray.analysis.statistics import (
    Floats,
    jackknife_interval,
    lack_of_fit,
    rank_correlation,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One converged cell."""

    examples: float
    """Training examples per class, above 0."""
    width: float
    """Hidden units."""
    subset: int
    """The subset seed."""


def trend(points: Sequence[Point]) -> dict[str, Any]:
    """Fit width against log10 of the examples.

    Args:
        points: Converged cells of at least two sizes.

    Returns:
        ``slope`` in units per tenfold of examples, its 95 % interval ``low`` and
        ``high`` (null if the points do not give one), ``straight_p``, the p-value of a
        straight line (null without repetitions), and ``spearman``, the rank
        correlation (null if all widths are equal).
    """
    examples, widths = [p.examples for p in points], [p.width for p in points]
    return {
        **_fit(points, lambda p: p.width),
        "spearman": rank_correlation(examples, widths),
    }


def log_log_trend(points: Sequence[Point]) -> dict[str, Any]:
    """Fit log10 of the width against log10 of the examples: a power law.

    Args:
        points: Converged cells of at least two sizes.

    Returns:
        ``slope``, the exponent, its 95 % interval ``low`` and ``high``, and
        ``straight_p``.
    """
    return _fit(points, lambda p: float(np.log10(p.width)))


def _fit(points: Sequence[Point], height: Callable[[Point], float]) -> dict[str, Any]:
    x = np.log10([point.examples for point in points])
    y = np.array([height(point) for point in points], dtype=float)
    subsets = np.array([point.subset for point in points])
    slope = _slope(x, y)
    straight = lack_of_fit(x, y, y.mean() + slope * (x - x.mean()))
    found = {"slope": slope, "straight_p": straight}
    without = [subsets != subset for subset in np.unique(subsets)]
    if len(without) < 2 or any(len(np.unique(x[kept])) < 2 for kept in without):
        return {**found, "low": None, "high": None}
    low, high = jackknife_interval(slope, [_slope(x[k], y[k]) for k in without])
    return {**found, "low": low, "high": high}


def _slope(x: Floats, y: Floats) -> float:
    centred = x - x.mean()
    return float(centred @ y / (centred @ centred))

"""Prices: what a run of any width costs, from a few steps at some widths.

A run pays once, per step, per evaluation and per growth check. Three short runs of one
width (few steps; more evaluations; more steps) give the first three prices; a short
growing run gives the price of a check. In between and beyond, prices are linear in the
width: the work of a dense layer is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from senn_ray.analysis.statistics import Floats
from senn_ray.core.records import Cost, RunRecord

COUNTED = ("sample_visits", "flops", "device_s")
"""The order of every array of prices; steps need no price."""
SHORT, OFTEN, LONG = (20, 2), (20, 20), (40, 2)
"""Steps and evaluations of the three short runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Length:
    """How long a run is."""

    steps: int
    evaluations: float
    """Of the validation part: the test part, if it is read, counts by its size."""
    checks: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The prices at one width, each [3], in the order of ``COUNTED``."""

    once: Floats
    step: Floats
    evaluation: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """Prices at some widths, ascending."""

    params: Mapping[int, int]
    """Parameters by width."""
    parts: Mapping[int, Parts]
    checks: Mapping[int, Floats]
    """Price of a growth check, at some of the widths."""

    def params_at(self, width: float) -> int:
        """Return the parameters of a network of one hidden layer."""
        values = {w: np.array([n], dtype=float) for w, n in self.params.items()}
        return round(float(_line(values, width)[0]))

    def cost(self, width: float, length: Length, *, growing: bool) -> Cost:
        """Predict what a run uses.

        Args:
            width: Hidden units; of a growing run, those that it ends with.
            length: How long it is.
            growing: Whether it checks for growth.
        """
        once, step, evaluation = (
            self._part(name, width) for name in ("once", "step", "evaluation")
        )
        check = _line(self.checks, width) * length.checks if growing else np.zeros(3)
        total = once + length.steps * step + length.evaluations * evaluation + check
        return Cost(
            steps=length.steps,
            sample_visits=round(float(total[0])),
            flops=float(total[1]),
            device_s=float(total[2]),
            growth_s=float(check[2]),
        )

    def _part(self, name: str, width: float) -> Floats:
        return _line({w: getattr(p, name) for w, p in self.parts.items()}, width)


def parts_of(short: RunRecord, often: RunRecord, long: RunRecord) -> Parts:
    """Return the prices at one width.

    Args:
        short: A run of ``SHORT`` length.
        often: One with more evaluations, of ``OFTEN`` length.
        long: One with more steps, of ``LONG`` length.
    """
    first, more = _counted(short.cost), _counted(often.cost)
    evaluation = np.maximum(more - first, 0.0) / (OFTEN[1] - SHORT[1])
    extra = _counted(long.cost) - first
    step = np.maximum(extra, 0.0) / (LONG[0] - SHORT[0])
    once = np.maximum(first - SHORT[0] * step - SHORT[1] * evaluation, 0.0)
    return Parts(once=once, step=step, evaluation=evaluation)


def check_price(grown: RunRecord, parts: Parts) -> Floats:
    """Return the price of a growth check.

    Args:
        grown: A short growing run.
        parts: The other prices at its width.
    """
    length = (grown.cost.steps, len(grown.evaluations))
    other = parts.once + length[0] * parts.step + length[1] * parts.evaluation
    extra = np.maximum(_counted(grown.cost) - other, 0.0)
    extra[2] = grown.cost.growth_s
    return extra / max(grown.checks, 1)


def widths(lowest: int, highest: int) -> list[int]:
    """Choose the widths to measure: both ends and the geometric middle.

    Args:
        lowest: The least width of the job.
        highest: The greatest.
    """
    return sorted({lowest, round((lowest * highest) ** 0.5), highest})


def _counted(cost: Cost) -> Floats:
    return np.array([getattr(cost, name) for name in COUNTED], dtype=float)


def _line(values: Mapping[int, Floats], width: float) -> Floats:
    """Interpolate linearly, and extrapolate the last piece; never below zero."""
    known: Sequence[int] = sorted(values)
    if len(known) == 1:
        return values[known[0]]
    inside = [w for w in known[1:-1] if w < width]
    low = inside[-1] if inside else known[0]
    high = known[known.index(low) + 1]
    share = (width - low) / (high - low)
    return np.maximum(values[low] + share * (values[high] - values[low]), 0.0)

"""Fronts compared, as types: what ``fronts`` of a comparison's summary holds.

The *front* of some networks is the least validation loss at no more than each size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from senn_ray.analysis.intervals import Interval
from senn_ray.search.targets import Currency

Judgement = Literal["better", "unclear", "worse"]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What the hypervolume is measured against (see ``search/protocol.py``)."""

    least_params: int
    """Of a network of one hidden unit."""
    most_params: int
    """Of one of ``model.max_hidden`` units."""
    val_loss: float
    """Of the constant predictor."""


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """The front of an arm from a size on, up to the next point."""

    units: int
    params: int
    val_loss: float
    """The median over searches; of arms that search one size, over all of their runs."""
    low: float | None
    high: float | None
    """Quartiles over searches; nothing where a quarter has no network so small."""


@dataclass(frozen=True, kw_only=True)
class Needed:
    """What an arm needs to be as good as the growing front somewhere."""

    searches: int
    hits: int
    cost: Mapping[Currency, Interval]
    """Expected; unknown seconds if devices were unlike."""
    times: Mapping[Currency, Interval]
    """The same, in costs of one growing run (which count as known)."""


@dataclass(frozen=True, kw_only=True)
class RungNeeds:
    """A size of the median growing run's front, and what arms need to be as good."""

    units: int
    params: int
    val_loss: float
    """Median, over growing runs, of their least loss at no more than this size."""
    arms: Mapping[str, Needed]


@dataclass(frozen=True, kw_only=True)
class VolumePoint:
    """The hypervolume that an arm is expected to have after so many runs."""

    runs: int
    hypervolume: float
    low: float | None
    high: float | None
    cost: Mapping[Currency, float]


@dataclass(frozen=True, kw_only=True)
class Volume:
    """How an arm's hypervolume rises with its runs, and what one growing run's takes."""

    one_search: Interval
    """After one run of an arm of independent runs, or one whole study: the mean."""
    best: float
    """Of all runs of the arm together."""
    curve: tuple[VolumePoint, ...]
    needed: Needed
    """Until it is that of the median growing run."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Growing against an arm at one size."""

    units: int
    params: int
    senn_val_loss: float
    arm_val_loss: float
    """Geometric means over searches."""
    excess: Interval
    """Log loss of the arm less that of growing: above 0, growing is better."""


@dataclass(frozen=True, kw_only=True)
class Against:
    """Growing against an arm that prunes a wide network."""

    judgement: Judgement
    """Of growing, over all sizes together."""
    units: int
    """What the arm starts with."""
    searches: int
    sizes: tuple[Difference, ...]
    excess: Interval
    """Log loss of the arm less that of growing, mean over the sizes."""
    better: int
    """Sizes at which growing is clearly better."""
    worse: int
    device_s: Interval
    """Seconds of one growing run over those of one search of the arm."""
    steps: Interval


@dataclass(frozen=True, kw_only=True)
class FrontComparison:
    """Front against front: at every rung, by hypervolume, and against pruning."""

    reference: Reference | None
    """Nothing if the loss of the constant predictor is not known."""
    target_hypervolume: float | None
    """Of one growing run: the median."""
    arms: Mapping[str, tuple[FrontPoint, ...]]
    rungs: tuple[RungNeeds, ...]
    every_rung: Mapping[str, Needed]
    """What it takes to be as good at all rungs together."""
    hypervolume: Mapping[str, Volume]
    against: Mapping[str, Against]

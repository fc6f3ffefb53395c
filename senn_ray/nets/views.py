"""Views: what the places of a network that may grow look like on some examples."""

from dataclasses import dataclass

from torch import Tensor

from senn_ray.nets.capture import Capture
from senn_ray.nets.network import LayerIndex


@dataclass(frozen=True)
class Look:
    """Where a convolutional network is looked at; dense networks ignore it."""

    positions: list[Tensor] | None = None
    """For every stage, which positions; all if none are given."""
    depth_cap: int = 0
    """Stages with fewer blocks than these may get another one."""


EVERYWHERE = Look()


@dataclass(frozen=True)
class View:
    """One place that may grow: neurons (or channels) that feed a linear layer."""

    place: LayerIndex
    features: Tensor
    """What the neurons look at [rows, d]."""
    layer: int
    """The linear layer whose inputs they are: its number among the captured ones."""
    is_new: bool = False
    """Whether a first neuron would make a new layer."""


@dataclass(frozen=True)
class Observation:
    """A network on some examples."""

    captured: Capture
    views: list[View]

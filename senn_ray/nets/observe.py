"""Observation: what the places of a network that may grow look like on some examples."""

from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.maths.losses import Task
from senn_ray.nets.capture import Capture, capture
from senn_ray.nets.mlp import dense
from senn_ray.nets.network import Network, Place


@dataclass(frozen=True)
class View:
    """One place that may grow: neurons (or channels) that feed a linear layer."""

    place: Place
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


def observe(
    net: Network,
    x: Tensor,
    y: Tensor,
    task: Task,
    *,
    probes: Tensor | None = None,
    with_inputs: bool = False,
) -> Observation:
    """Measure every place that may grow.

    Args:
        net: The network.
        x: Features [n, d].
        y: Targets.
        task: Which loss.
        probes: Random signs [n, 2, n_out] to estimate curvature; exact without.
        with_inputs: Capture a dense network's first layer too: all of ``layers``.

    Returns:
        What was captured, and a view of every place.
    """
    first = 0 if with_inputs else 1
    captured = capture(dense(net), x, y, task, first=first, probes=probes)
    views = []
    for place in net.places():
        i = place.layer - first
        seen = x if i < 0 else captured.layers[i].inputs[:, :-1]
        views.append(View(place, seen, i + 1))
    return Observation(captured, views)


@torch.no_grad()
def features(net: Network, x: Tensor) -> list[Tensor]:
    """Compute what the neurons of every place look at: ``features`` of the views.

    Args:
        net: The network.
        x: Features [n, d].
    """
    mlp = dense(net)
    inputs, _ = mlp.trace(x)
    widths = [W.shape[1] - 1 for W in mlp.weights]
    return [a[:, :width] for a, width in zip(inputs[:-1], widths[:-1], strict=True)]

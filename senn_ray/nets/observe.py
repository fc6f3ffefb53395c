"""Observation: what the places of a network that may grow look like on some examples."""

import torch
from torch import Tensor

from senn_ray.maths.losses import Task
from senn_ray.nets.capture import capture
from senn_ray.nets.conv import ConvNet
from senn_ray.nets.conv_capture import conv_features, observe_conv
from senn_ray.nets.mlp import dense
from senn_ray.nets.network import Network
from senn_ray.nets.views import EVERYWHERE, Look, Observation, View


def observe(  # noqa: PLR0913 - the last three have defaults
    net: Network,
    x: Tensor,
    y: Tensor,
    task: Task,
    *,
    probes: Tensor | None = None,
    with_inputs: bool = False,
    look: Look = EVERYWHERE,
) -> Observation:
    """Measure every place that may grow.

    Args:
        net: The network.
        x: Features [n, d].
        y: Targets.
        task: Which loss.
        probes: Random signs [n, 2, n_out] to estimate curvature; exact without.
        with_inputs: Capture a dense network's first layer too: all of ``layers``.
        look: Where a convolutional network is looked at.

    Returns:
        What was captured, and a view of every place.
    """
    if isinstance(net, ConvNet):
        return observe_conv(net, x, y, task, probes=probes, look=look)
    first = 0 if with_inputs else 1
    captured = capture(dense(net), x, y, task, first=first, probes=probes)
    views = []
    for place in net.places():
        i = place.layer - first
        seen = x if i < 0 else captured.layers[i].inputs[:, :-1]
        views.append(View(place, seen, i + 1))
    return Observation(captured, views)


@torch.no_grad()
def features(net: Network, x: Tensor, *, look: Look = EVERYWHERE) -> list[Tensor]:
    """Compute what the neurons of every place look at: ``features`` of the views.

    Args:
        net: The network.
        x: Features [n, d].
        look: Where a convolutional network is looked at.
    """
    if isinstance(net, ConvNet):
        return conv_features(net, x, look)
    mlp = dense(net)
    inputs, _ = mlp.trace(x)
    widths = [W.shape[1] - 1 for W in mlp.weights]
    return [a[:, :width] for a, width in zip(inputs[:-1], widths[:-1], strict=True)]

"""Observation: what the places of a network that may grow look like on some examples.

A place is where neurons (or channels) may be added; they feed one linear layer. In a
dense network the neurons of hidden layer i look at the inputs of linear layer i and
feed linear layer i + 1.

In a convolutional network what a new channel adds to a block, it adds to the stream
through V; so the linear layer of a place is V, its inputs are the hidden channels, and
its outputs the stream after the block. A first channel of a new block at the end of a
stage adds to the same stream as one more channel of the last block. Both are measured
against that block's channels: what these can do already is no gain for either of them.
The rows of all statistics are pairs of an example and a position (KFC: Grosse & Martens
2016, section 3). The positions are the same for all examples.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from senn_ray.maths.losses import Task, loss, output_gradient
from senn_ray.nets.capture import (
    Capture,
    Layer,
    capture,
    pull_back,
    pull_back_curvature,
    random_cotangents,
)
from senn_ray.nets.conv import TAPS, ConvNet, Trace
from senn_ray.nets.mlp import dense
from senn_ray.nets.network import LayerIndex, Network, with_constant


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
        return _observe_conv(net, x, y, task, probes=probes, look=look)
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
    """Compute what the neurons of every place look at: ``features`` of the views."""
    if isinstance(net, ConvNet):
        spots = _spots(net, net.trace(x), look)
        return [patches(s.seen, _positions(look, s.place.stage)) for s in spots]
    mlp = dense(net)
    inputs, _ = mlp.trace(x)
    widths = [W.shape[1] - 1 for W in mlp.weights]
    return [a[:, :width] for a, width in zip(inputs[:-1], widths[:-1], strict=True)]


@dataclass(frozen=True)
class _Spot:
    """A place that may grow, what it would look at, and where it would write."""

    place: LayerIndex
    seen: Tensor
    """The stream that its channels see [n, c, H, W]."""
    writes: LayerIndex | None
    """The block with which it shares the linear layer; none in an empty stage."""
    is_new: bool


@dataclass(frozen=True)
class _Factor:
    """The curvature of one stream, summed over examples and all positions."""

    curvature: Tensor
    """JᵀHJ [c, c]."""
    ridge: Tensor
    """JᵀJ [c, c]."""
    roots: tuple[Tensor, Tensor] | None


def _observe_conv(
    net: ConvNet,
    x: Tensor,
    y: Tensor,
    task: Task,
    *,
    probes: Tensor | None,
    look: Look,
) -> Observation:
    """Measure every block, and every stage that may get another one."""
    with torch.enable_grad():
        trace = net.trace(x.detach())
        spots = _spots(net, trace, look)
        streams = _streams(trace, spots)
        gradient = output_gradient(trace.outputs.detach(), y, task)
        gradients = pull_back(trace.outputs, list(streams.values()), gradient)
        factors = _factors(trace.outputs, streams, task, probes, look)
    layers = [
        _layer(
            None if key not in trace.blocks else trace.blocks[key].hidden.detach(),
            g,
            factor,
            _positions(look, key.stage),
        )
        for key, g, factor in zip(streams, gradients, factors, strict=True)
    ]
    total = loss(trace.outputs.detach(), y, task) * len(x)
    captured = Capture(total, gradient.square().sum(), layers)
    number = {key: i for i, key in enumerate(streams)}
    views = [
        View(
            spot.place,
            patches(spot.seen.detach(), _positions(look, spot.place.stage)),
            number[spot.writes or spot.place],
            is_new=spot.is_new,
        )
        for spot in spots
    ]
    return Observation(captured, views)


def patches(images: Tensor, positions: Tensor | None) -> Tensor:
    """Cut out what a 3x3 convolution sees at some positions, with zeros around.

    Args:
        images: [n, c, H, W].
        positions: Row-major numbers [s]; all if none are given.

    Returns:
        [n s, 9c], example by example; the taps of a channel stand together.
    """
    n, c, height, width = images.shape
    wide = nn.functional.pad(images, (1, 1, 1, 1)).movedim(1, -1).flatten(1, 2)
    where = _all(height * width, positions).to(images.device)
    corner = where // width * (width + 2) + where % width
    shifts = torch.arange(3, device=images.device)
    taps = (shifts[:, None] * (width + 2) + shifts).flatten()
    rows = wide[:, corner[:, None] + taps]
    return rows.movedim(-1, -2).reshape(n * len(where), c * TAPS)


def _spots(net: ConvNet, trace: Trace, look: Look) -> list[_Spot]:
    spots = [
        _Spot(place, block.seen, place, is_new=False)
        for place, block in trace.blocks.items()
    ]
    for stage, count in enumerate(net.layout):
        if count < look.depth_cap:
            last = LayerIndex(stage, count - 1) if count else None
            spots.append(
                _Spot(LayerIndex(stage, count), trace.ends[stage], last, is_new=True)
            )
    return spots


def _streams(trace: Trace, spots: list[_Spot]) -> dict[LayerIndex, Tensor]:
    """Return the outputs of the linear layers that places write to."""
    streams = {place: block.stream for place, block in trace.blocks.items()}
    for spot in spots:
        if spot.writes is None:
            streams[spot.place] = spot.seen
    return streams


def _factors(
    outputs: Tensor,
    streams: dict[LayerIndex, Tensor],
    task: Task,
    probes: Tensor | None,
    look: Look,
) -> list[_Factor]:
    """Measure the curvature of every stream: exactly, or from probes with their rows."""
    hidden = list(streams.values())
    if probes is None:
        exact = pull_back_curvature(outputs, hidden, task, None)
        return [_Factor(c, r, None) for c, r in zip(*exact, strict=True)]
    columns = random_cotangents(outputs, task, probes)
    pulled = zip(*(pull_back(outputs, hidden, c) for c in columns), strict=True)
    factors = []
    for key, (j, r) in zip(streams, pulled, strict=True):
        count = j.shape[2] * j.shape[3]
        where = _all(count, _positions(look, key.stage)).to(j.device)
        roots = _rows(j, where), _rows(r, where)
        factors.append(_Factor(_second_moment(j), _second_moment(r), roots))
    return factors


def _layer(
    hidden: Tensor | None,
    gradient: Tensor,
    factor: _Factor,
    positions: Tensor | None,
) -> Layer:
    """Take the rows of a linear layer at some positions.

    Its inputs are [n, h, H, W], or nothing where only the constant is left; the gradient of
    its outputs is [n, c, H, W].
    """
    n, _, height, width = gradient.shape
    where = _all(height * width, positions).to(gradient.device)
    if hidden is None:
        hidden = gradient.new_zeros(n, 0, height, width)
    share = len(where) / (height * width)
    return Layer(
        inputs=with_constant(_rows(hidden, where)),
        gradients=_rows(gradient, where),
        curvature=share * factor.curvature,
        ridge=share * factor.ridge,
        positions=height * width,
        group=len(where),
        roots=factor.roots,
    )


def _second_moment(images: Tensor) -> Tensor:
    """Sum over the positions of all examples: [n, c, H, W] -> [c, c]."""
    rows = images.movedim(1, -1).flatten(0, -2)
    return rows.T @ rows


def _rows(images: Tensor, where: Tensor) -> Tensor:
    """Return the values [n s, c] at some positions of images [n, c, H, W]."""
    return images.movedim(1, -1).flatten(1, 2)[:, where].flatten(0, 1)


def _positions(look: Look, stage: int) -> Tensor | None:
    return None if look.positions is None else look.positions[stage]


def _all(count: int, positions: Tensor | None) -> Tensor:
    return torch.arange(count) if positions is None else positions

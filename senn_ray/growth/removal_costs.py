"""What it would cost to remove neurons, and whole layers, of a measured network."""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.growth.measure import Measured, curvature, moment
from senn_ray.maths.removal import (
    compensation,
    layer_removal,
    removal_cost,
    residual_inputs,
)
from senn_ray.maths.steps import square_of_sums, step_curvature
from senn_ray.nets.capture import Layer
from senn_ray.nets.conv import ConvNet
from senn_ray.nets.network import Network
from senn_ray.nets.observe import View
from senn_ray.training.run_state import RunState

OUTPUT_DAMPING = 1e-3
"""Of the curvature at the outputs, so that the cost of a neuron that all agree on is
not lost in rounding."""


@dataclass(frozen=True)
class NextLayer:
    """The linear layer that reads a hidden layer, in sums over the gang."""

    columns: Tensor
    """Its weights [n_out, n + 1]."""
    A: Tensor
    """Damped second moment of its inputs [n + 1, n + 1]."""
    G: Tensor
    """Damped Gauss-Newton factor of its outputs [n_out, n_out]."""
    layer: Layer
    """Its rows on this replica."""

    def without(self, index: int) -> "NextLayer":
        """Describe it when an input is gone and the others have taken over.

        Args:
            index: Of the input.
        """
        keep = torch.arange(len(self.A), device=self.A.device) != index
        return NextLayer(
            columns=compensation(self.columns, self.A, index),
            A=self.A[keep][:, keep],
            G=self.G,
            layer=dataclasses.replace(self.layer, inputs=self.layer.inputs[:, keep]),
        )


def next_layer(
    run: RunState, net: Network, view: View, measured: Measured
) -> NextLayer:
    """Take what reads a hidden layer from a measured network.

    Args:
        run: Whose gang.
        net: The network.
        view: Of the hidden layer.
        measured: The network, measured.

    Returns:
        The linear layer that reads it.
    """
    layer = measured.layers[view.layer]
    return NextLayer(
        columns=net.tensors()[net.locate(view.place).columns].detach(),
        A=moment(run, layer),
        G=curvature(run, layer, OUTPUT_DAMPING),
        layer=layer,
    )


def neuron_costs(run: RunState, next_layer: NextLayer) -> Tensor:
    """Predict by how much the loss rises when each neuron of a layer goes, at best.

    Args:
        run: Whose gang.
        next_layer: The linear layer that the neurons feed.

    Returns:
        The costs [n], in nats.
    """
    layer, A = next_layer.layer, next_layer.A
    costs = removal_cost(next_layer.columns, A, next_layer.G)
    lost = residual_inputs(layer.inputs, A) if layer.roots else None
    return _measured(run, layer, next_layer.columns, lost, costs)[:-1]


def linearised(
    run: RunState, net: Network, view: View, measured: Measured
) -> tuple[float, Tensor]:
    """Predict the cost of removing a layer, and find its best linear replacement.

    In a convolutional network the stream goes around a block, so the best linear
    function of the constant replaces it: the mean of its channels.

    Args:
        run: Whose gang.
        net: The network.
        view: Of the hidden layer.
        measured: The network, measured.

    Returns:
        The cost in nats, and the map [n, n_in] from inputs (or the constant) to
        activations.
    """
    place = view.place
    V = net.tensors()[net.locate(place).columns].detach()[:, :-1]
    if isinstance(net, ConvNet):
        return _without_block(run, V, measured.layers[view.layer])
    below, above = measured.layers[place.layer], measured.layers[place.layer + 1]
    s = above.inputs[:, :-1]
    rows = s.new_tensor([float(len(s))])
    cross, power, rows = run.reduce([s.T @ below.inputs, s.T @ s, rows])
    return layer_removal(
        V,
        moment(run, below),
        curvature(run, above, OUTPUT_DAMPING),
        cross=cross / rows,
        power=power / rows,
    )


def _without_block(run: RunState, V: Tensor, layer: Layer) -> tuple[float, Tensor]:
    A = moment(run, layer)
    cost, mean = layer_removal(
        V,
        A[-1:, -1:],
        curvature(run, layer, OUTPUT_DAMPING),
        cross=A[:-1, -1:],
        power=A[:-1, :-1],
    )
    lost = (layer.inputs[:, :-1] - mean[:, 0]) @ V.T
    # The change of the outputs as a whole is one input that goes.
    whole = _measured(run, layer, None, lost, V.new_tensor(cost))
    return whole.item(), mean


def _measured(
    run: RunState,
    layer: Layer,
    V: Tensor | None,
    lost: Tensor | None,
    least: Tensor,
) -> Tensor:
    """Measure costs by the curvature of the steps, where positions are many.

    Args:
        run: Whose gang.
        layer: The linear layer.
        V: Its weights [n_out, m], where ``lost`` is of its inputs.
        lost: What goes of every input [rows, m], or of the outputs [rows, n_out].
        least: The costs by the Kronecker factors [m], or of the outputs as a whole [].
    """
    if layer.roots is None or lost is None:
        return least
    roots = layer.roots[0] + OUTPUT_DAMPING**0.5 * layer.roots[1]
    q = (roots * lost).sum(1) if V is None else (roots @ V) * lost
    sums = square_of_sums(q, group=layer.group, positions=layer.positions)
    count = torch.full((1,), len(q) / layer.group).to(q)
    sums, count = run.reduce([sums, count])
    return 0.5 * step_curvature(sums, count.item(), 2 * least)

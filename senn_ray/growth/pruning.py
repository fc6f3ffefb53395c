"""Pruning: remove the neurons and layers that a network can do without most cheaply.

Costs are predicted to second order (``maths.removal``), with what the other neurons can
take over. What goes next is what costs least for each parameter (or FLOP) that it frees,
over all layers together, so layers of any price compete.
"""

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.config import FrontConfig
from senn_ray.core.records import Expansion
from senn_ray.growth.measure import Measured, curvature, draw, measure, moment
from senn_ray.maths.linalg import inverse
from senn_ray.maths.removal import (
    compensation,
    layer_removal,
    precision_without,
    removal_cost,
    residual_inputs,
)
from senn_ray.maths.steps import square_of_sums, step_curvature
from senn_ray.nets.capture import Layer
from senn_ray.nets.conv import ConvNet
from senn_ray.nets.mlp import MLP, dense
from senn_ray.nets.network import LayerIndex, Network
from senn_ray.nets.observe import View
from senn_ray.nets.surgery import Surgery, prune, remove_block, remove_layer, site
from senn_ray.training.run_state import RunState

SHARE = 0.5
"""Fraction of the examples of a growth decision: costs are of what is there, nothing is
searched."""
OUTPUT_DAMPING = 1e-3
"""Damping of the curvature at the outputs, so that the cost of a neuron that all agree
on is not lost in rounding."""
MOST_AT_ONCE = 0.25
"""Fraction of a layer that may go before the network is measured again."""


@dataclass(frozen=True)
class Removal:
    """A neuron, or a layer, that could go."""

    place: LayerIndex
    index: int | None
    """The neuron; none for the whole layer."""
    cost: float
    """Predicted rise of the loss, in nats, after compensation."""
    frees: float
    """What it frees, in parameters or FLOPs."""


def size_of(net: Network, config: FrontConfig) -> int:
    """Return the size of a network: its parameters, or FLOPs, as the settings say."""
    architecture = net.architecture()
    if config.cost == "params":
        return architecture.num_params()
    return 2 * architecture.multiply_adds()


def next_size(run: RunState) -> float | None:
    """Return the most that the next rung may cost; nothing if there is none.

    By ratio, it is the ratio of what can be removed: what inputs and outputs cost by
    themselves would make the small rungs all alike.
    """
    config = _front(run)
    now = size_of(run.net, config)
    if config.sizes:
        return next((size for size in config.falling() if size < now), None)
    net = run.net
    movable = sum(
        len(net.parts[net.locate(place).rows]) * unit_price(net, place, config)
        for place in net.places()
    )
    return now - (1 - config.ratio) * movable


def rungs_below(run: RunState) -> int:
    """Estimate how many rungs are left below the present size."""
    config, now = _front(run), size_of(run.net, _front(run))
    if config.sizes:
        below = sum(size < now for size in config.falling())
    else:
        below = math.ceil(
            math.log(max(run.hidden, default=1)) / -math.log(config.ratio)
        )
    return min(below, (config.rungs or below + 1) - 1)


@torch.no_grad()
def prune_to(run: RunState, step: int, size: float) -> list[Expansion]:
    """Remove the cheapest neurons and layers until a network has a size.

    Sizes that people gave are kept to; those that follow from a ratio are met as nearly
    as whole neurons can. One neuron of every layer stays, unless the layer goes.

    Args:
        run: The run; changed in place.
        step: The step before which this takes place.
        size: Most parameters or FLOPs.

    Returns:
        The removals, in order; none if nothing is left that could go.
    """
    config, drawn = _front(run), draw(run, "pruning", step, share=SHARE)
    slack = 0.0 if config.sizes else 0.5
    events: list[Expansion] = []

    def is_wanted(frees: float) -> bool:
        return not events or size_of(run.net, config) - slack * frees > size

    while True:
        measured = measure(run, run.net, drawn, with_inputs=_may_remove_layers(run.net))
        plan = _Plan(run, measured)
        before = len(events)
        while (removal := plan.cheapest()) and is_wanted(removal.frees):
            events.append(plan.carry_out(removal, step))
        if len(events) == before:
            return events


def unit_price(net: Network, place: LayerIndex, config: FrontConfig) -> float:
    """Return what one neuron of a layer costs: its fan-in and its fan-out."""
    parts, tensors = net.locate(place), net.tensors()
    weights = tensors[parts.rows].shape[1] + len(tensors[parts.columns])
    if config.cost == "params":
        shape = 0 if parts.shape is None else tensors[parts.shape].shape[1]
        return float(weights + shape)
    return 2.0 * weights * _positions(net, place)


def layer_price(net: Network, place: LayerIndex, config: FrontConfig) -> float:
    """Return what goes with a whole layer: a dense one leaves a linear layer behind."""
    parts, tensors = net.locate(place), net.tensors()
    rows, columns = tensors[parts.rows], tensors[parts.columns]
    price = len(rows) * unit_price(net, place, config)
    # The biases of a dense layer stay, those of a block go with it.
    left = len(columns) * (-1 if isinstance(net, ConvNet) else rows.shape[1] - 1)
    if config.cost == "params":
        return price - left
    return price - 2.0 * left * _positions(net, place)


def _positions(net: Network, place: LayerIndex) -> int:
    return net.position_counts[place.stage] if net.position_counts else 1


class _Plan:
    """What can go, after one measurement of the network and the removals since."""

    def __init__(self, run: RunState, measured: Measured) -> None:
        self.run, self.measured, self.config = run, measured, _front(run)
        views = [view for view in measured.views if not view.is_new]
        self.layers = [_LayerPlan(run, view, measured) for view in views]
        self._whole = [
            self._whole_layer(view)
            for view in views
            if _may_go(run.net, view.place, self.config)
        ]

    def cheapest(self) -> Removal | None:
        """Name what costs least for what it frees."""
        neurons = [found for layer in self.layers if (found := layer.cheapest())]
        options = [*neurons, *self._whole]
        return min(options, key=lambda r: r.cost / r.frees, default=None)

    def carry_out(self, removal: Removal, step: int) -> Expansion:
        """Remove a neuron or a layer from the network of the run."""
        run, before = self.run, self.run.hidden
        number = site(run.net, removal.place)
        # A layer's cost was measured with all neurons in place: it goes first, or not.
        self._whole = []
        if removal.index is None:
            change = self._remove_layer(removal.place)
            self.layers = []  # All that was measured is of another network.
        else:
            (layer,) = (one for one in self.layers if one.place == removal.place)
            layer.lose(removal.index)
            columns = layer.next_layer.columns
            change = prune(run.net, removal.place, removal.index, columns)
            # The layer that feeds this neuron has an output less.
            for below in self.layers:
                if run.net.locate(below.place).columns == change.parts.rows:
                    below.lose_output(removal.index)
        run.optimizer.reshape(change)
        return Expansion(
            step=step,
            kind="remove_layer" if removal.index is None else "prune",
            site=number,
            removal_cost=removal.cost,
            hidden_before=before,
            hidden_after=run.hidden,
            loss_before=self.measured.loss,
        )

    def _whole_layer(self, view: View) -> Removal:
        net = self.run.net
        cost = linearised(self.run, net, view, self.measured)[0]
        frees = layer_price(net, view.place, self.config)
        return Removal(view.place, None, cost, frees)

    def _remove_layer(self, place: LayerIndex) -> Surgery:
        net = self.run.net
        views = (v for v in self.measured.views if v.place == place and not v.is_new)
        _, C = linearised(self.run, net, next(views), self.measured)
        if isinstance(net, ConvNet):
            return remove_block(net, place, C[:, 0])
        return remove_layer(dense(net), place.layer, C)


class _LayerPlan:
    """A hidden layer as the removals so far have left it."""

    def __init__(self, run: RunState, view: View, measured: Measured) -> None:
        self.run, self.place = run, view.place
        self.next_layer = next_layer(run, run.net, view, measured)
        self._left = 1 + int(MOST_AT_ONCE * self.next_layer.width)
        self._cheapest: Removal | None = None

    def cheapest(self) -> Removal | None:
        """Name the cheapest neuron; the last one of a layer goes with it, or not at all."""
        if self._cheapest is None and self.next_layer.width > 1 and self._left:
            cost = neuron_costs(self.run, self.next_layer)
            index = int(cost.argmin())
            frees = unit_price(self.run.net, self.place, _front(self.run))
            self._cheapest = Removal(self.place, index, cost[index].item(), frees)
        return self._cheapest

    def lose(self, index: int) -> None:
        """Go on without a neuron."""
        self.next_layer = self.next_layer.without(index)
        self._left -= 1
        self._cheapest = None

    def lose_output(self, index: int) -> None:
        """Go on without a neuron of the layer above."""
        self.next_layer = self.next_layer.without_output(index)
        self._cheapest = None


def _front(run: RunState) -> FrontConfig:
    return run.spec.front or FrontConfig()


def _may_remove_layers(net: Network) -> bool:
    return isinstance(net, MLP) and net.family.identity is not None


def _may_go(net: Network, place: LayerIndex, config: FrontConfig) -> bool:
    """Tell whether a whole layer could be removed."""
    if isinstance(net, ConvNet):
        # All blocks but the last one of the network can, whatever σ is.
        return sum(net.layout) > 1
    # A linear layer in place of two may have more parameters than both.
    return _may_remove_layers(net) and layer_price(net, place, config) > 0


@dataclass(frozen=True)
class NextLayer:
    """The linear layer that a hidden layer feeds, in sums over the gang."""

    columns: Tensor
    """Its weights [n_out, n + 1]."""
    precision: Tensor
    """Inverse of the damped second moment of its inputs [n + 1, n + 1], float64."""
    G: Tensor
    """Damped Gauss-Newton factor of its outputs [n_out, n_out]."""
    layer: Layer
    """Its rows on this replica."""

    @property
    def width(self) -> int:
        """The number of neurons that feed it."""
        return self.columns.shape[1] - 1

    def without(self, index: int) -> "NextLayer":
        """Describe it when an input is gone and the others have taken over."""
        keep = torch.arange(len(self.precision), device=self.columns.device) != index
        # Only roots of the curvature look at the inputs row by row.
        inputs = self.layer.inputs[:, keep] if self.layer.roots else self.layer.inputs
        return NextLayer(
            columns=compensation(self.columns, self.precision, index),
            precision=precision_without(self.precision, index),
            G=self.G,
            layer=dataclasses.replace(self.layer, inputs=inputs),
        )

    def without_output(self, index: int) -> "NextLayer":
        """Describe it when an output is gone."""
        keep = torch.arange(len(self.columns), device=self.columns.device) != index
        roots = self.layer.roots and tuple(root[:, keep] for root in self.layer.roots)
        return NextLayer(
            columns=self.columns[keep],
            precision=self.precision,
            G=self.G[keep][:, keep],
            layer=dataclasses.replace(self.layer, roots=roots),
        )


def next_layer(
    run: RunState, net: Network, view: View, measured: Measured
) -> NextLayer:
    """Take the linear layer that a hidden layer feeds from a measured network."""
    layer = measured.layers[view.layer]
    return NextLayer(
        columns=net.tensors()[net.locate(view.place).columns].detach(),
        precision=inverse(moment(run, layer).double()),
        G=curvature(run, layer, OUTPUT_DAMPING),
        layer=layer,
    )


def neuron_costs(run: RunState, after: NextLayer) -> Tensor:
    """Predict by how much the loss rises when each neuron of a layer goes, at best.

    Returns:
        The costs [n], in nats.
    """
    layer, precision = after.layer, after.precision
    costs = removal_cost(after.columns, precision, after.G)
    lost = residual_inputs(layer.inputs, precision) if layer.roots else None
    # The last input is the constant, which stays.
    return _measured_costs(run, layer, after.columns, lost, costs)[:-1]


def linearised(
    run: RunState, net: Network, view: View, measured: Measured
) -> tuple[float, Tensor]:
    """Predict the cost of removing a layer, and find its best linear replacement.

    In a convolutional network the stream goes around a block, so the best linear
    function of the constant replaces it: the mean of its channels.

    Returns:
        The cost in nats, and the map [n, n_in] from inputs (or the constant) to
        activations.
    """
    place, layer = view.place, measured.layers[view.layer]
    V = net.tensors()[net.locate(place).columns].detach()[:, :-1]
    if isinstance(net, ConvNet):
        A, G = moment(run, layer), curvature(run, layer, OUTPUT_DAMPING)
        cost, mean = layer_removal(
            V, A[-1:, -1:], G, cross=A[:-1, -1:], power=A[:-1, :-1]
        )
        lost = (layer.inputs[:, :-1] - mean[:, 0]) @ V.T
        # The change of the outputs as a whole is one input that goes.
        whole = _measured_costs(run, layer, None, lost, V.new_tensor(cost))
        return whole.item(), mean
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


def _measured_costs(
    run: RunState, layer: Layer, V: Tensor | None, lost: Tensor | None, least: Tensor
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

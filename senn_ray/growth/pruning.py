"""Pruning: remove the neurons and layers that the annealed network hardly needs.

Costs are predicted to second order (``maths.removal``), with what the other neurons can
take over; the cheapest go, and the loss is measured after each.
"""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.core.records import Expansion
from senn_ray.growth.measure import (
    Draw,
    Measured,
    curvature,
    draw,
    mean_loss,
    measure,
    moment,
)
from senn_ray.maths.removal import (
    compensation,
    layer_removal,
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


@dataclass(frozen=True)
class Removal:
    """A neuron, or a layer, that could go."""

    place: LayerIndex
    index: int | None
    """The neuron; none for the whole layer."""
    cost: float
    """Predicted rise of the loss, in nats, after compensation."""


@torch.no_grad()
def prune_cheapest(run: RunState, step: int, *, born_before: int) -> list[Expansion]:
    """Remove neurons and layers, cheapest first, while each is below the threshold.

    A removal that raises the loss on the decision examples by more than twice the
    threshold is taken back. Ends when a prediction says that nothing is left to remove,
    or is wrong at its first removal.

    Args:
        run: The run; changed in place.
        step: The step before which this takes place.
        born_before: Only neurons added before this step may go: a new one has no
            fan-out yet, so it costs nothing, and deserves time to earn some.
    """
    drawn = draw(run, "pruning", step, share=SHARE)
    events: list[Expansion] = []
    while True:
        measured = _measure(run, run.net, drawn)
        plan = plan_removals(run, measured, born_before)
        done = _carry_out(run, plan, drawn, measured, step) if plan else []
        if not done:
            return events
        events += done


@torch.no_grad()
def would_prune(run: RunState, step: int, *, born_before: int) -> bool:
    """Tell whether another ``prune_cheapest`` would remove anything, changing nothing."""
    drawn = draw(run, "pruning", step, share=SHARE)
    measured = _measure(run, run.net, drawn)
    plan = plan_removals(run, measured, born_before)
    if not plan:
        return False
    tensors, layout = run.net.tensors(), run.net.layout
    _Editor(run, run.net, measured).remove(plan[0])
    after = mean_loss(run, run.net, drawn)
    run.net.become(tensors, layout)
    return after - measured.loss <= _most_rise(run)


def _measure(run: RunState, net: Network, drawn: Draw) -> Measured:
    return measure(run, net, drawn, with_inputs=_may_remove_layers(net))


def _most_rise(run: RunState) -> float:
    """Return the rise of the loss from which on a removal is taken back."""
    return 2 * run.spec.growth.removal_threshold * run.loss_unit


def _carry_out(
    run: RunState, plan: list[Removal], drawn: Draw, measured: Measured, step: int
) -> list[Expansion]:
    """Remove, measuring the loss after each, until one costs too much."""
    editors = [_Editor(run, run.net, measured)]
    if run.best is not None:
        # The best network is to have the same size, but other weights take over in it.
        editors.append(_Editor(run, run.best, _measure(run, run.best, drawn)))
    loss, events = measured.loss, []
    for removal in plan:
        tensors, layout = run.net.tensors(), run.net.layout
        before, number = run.hidden, site(run.net, removal.place)
        change = editors[0].remove(removal)
        after = mean_loss(run, run.net, drawn)
        # Also where the loss is no longer a number.
        if not after - loss <= _most_rise(run):
            run.net.become(tensors, layout)
            break
        # From here on it is final: the best network and the optimiser follow.
        for editor in editors[1:]:
            editor.remove(removal)
        run.follow(change, step)
        events.append(
            Expansion(
                step=step,
                kind="remove_layer" if removal.index is None else "prune",
                site=number,
                score_gain=None,
                relative_gain=None,
                current_score=None,
                heldout_gain=None,
                heldout_z=None,
                removal_cost=removal.cost,
                hidden_before=before,
                hidden_after=run.hidden,
                loss_before=loss,
                loss_after=after,
            )
        )
        loss = after
    return events


class _Editor:
    """Carries removals out on one network, with what was measured of it before."""

    def __init__(self, run: RunState, net: Network, measured: Measured) -> None:
        self.run, self.net, self.measured = run, net, measured
        self._moments: dict[LayerIndex, Tensor] = {}

    def remove(self, removal: Removal) -> Surgery:
        """Remove a neuron or a layer, with the network's own compensation."""
        place, index, measured = removal.place, removal.index, self.measured
        (view,) = (v for v in measured.views if v.place == place and not v.is_new)
        if index is None:
            _, C = linearised(self.run, self.net, view, measured)
            if isinstance(self.net, ConvNet):
                return remove_block(self.net, place, C[:, 0])
            return remove_layer(dense(self.net), place.layer, C)
        if place not in self._moments:
            self._moments[place] = moment(self.run, measured.layers[view.layer])
        A = self._moments[place]
        keep = torch.arange(len(A), device=A.device) != index
        self._moments[place] = A[keep][:, keep]
        return prune(self.net, place, index, A)


def plan_removals(run: RunState, measured: Measured, born_before: int) -> list[Removal]:
    """Choose what goes: the cheapest neurons one by one, or one whole layer.

    Within a layer every cost is that after the removals before it. In other layers it
    is not: the loss that is measured after each removal is there for that.

    Returns:
        The removals in order, each below the threshold. A layer comes alone.
    """
    threshold = run.spec.growth.removal_threshold * run.loss_unit
    views = [view for view in measured.views if not view.is_new]
    layers = [_LayerPlan(run, view, measured, born_before) for view in views]
    whole = [
        Removal(view.place, None, linearised(run, run.net, view, measured)[0])
        for view, layer in zip(views, layers, strict=True)
        if not any(layer.young) and _may_go(run.net, view.place)
    ]
    plan: list[Removal] = []
    while True:
        neurons = [cheapest for layer in layers if (cheapest := layer.cheapest())]
        # A layer's cost was measured with all neurons in place: it goes first, or not.
        options = neurons if plan else [*neurons, *whole]
        removal = min(options, key=lambda r: r.cost, default=None)
        if removal is None or removal.cost > threshold:
            return plan
        plan.append(removal)
        if removal.index is None:
            return plan
        for layer in layers:
            layer.lose(removal)


class _LayerPlan:
    """A hidden layer as the plan so far would leave it."""

    def __init__(
        self, run: RunState, view: View, measured: Measured, born_before: int
    ) -> None:
        self.run, self.place = run, view.place
        births = run.births[site(run.net, view.place)]
        self.young = [born >= born_before for born in births]
        self._next_layer = next_layer(run, run.net, view, measured)
        self._cheapest: Removal | None = None

    def cheapest(self) -> Removal | None:
        """Name the cheapest neuron that is old enough.

        The last neuron of a layer goes with it, or not at all.
        """
        if self._cheapest is None and len(self.young) > 1 and not all(self.young):
            cost = neuron_costs(self.run, self._next_layer)
            young = torch.tensor(self.young, device=cost.device)
            cost = cost.masked_fill(young, torch.inf)
            index = int(cost.argmin())
            self._cheapest = Removal(self.place, index, cost[index].item())
        return self._cheapest

    def lose(self, removal: Removal) -> None:
        """Go on without a neuron, if it is one of this layer."""
        if removal.place == self.place and removal.index is not None:
            self._next_layer = self._next_layer.without(removal.index)
            del self.young[removal.index]
            self._cheapest = None


def _may_remove_layers(net: Network) -> bool:
    return isinstance(net, MLP) and net.family.identity is not None


def _may_go(net: Network, place: LayerIndex) -> bool:
    """Tell whether a whole layer could be removed."""
    if isinstance(net, ConvNet):
        # All blocks but the last one of the network can, whatever σ is.
        return sum(net.layout) > 1
    if not _may_remove_layers(net):
        return False
    # A linear layer in place of two may have more parameters than both.
    parts = net.locate(place)
    rows, columns = net.tensors()[parts.rows], net.tensors()[parts.columns]
    return len(columns) * rows.shape[1] < rows.numel() + columns.numel()


@dataclass(frozen=True)
class NextLayer:
    """The linear layer that a hidden layer feeds, in sums over the gang."""

    columns: Tensor
    """Its weights [n_out, n + 1]."""
    A: Tensor
    """Damped second moment of its inputs [n + 1, n + 1]."""
    G: Tensor
    """Damped Gauss-Newton factor of its outputs [n_out, n_out]."""
    layer: Layer
    """Its rows on this replica."""

    def without(self, index: int) -> "NextLayer":
        """Describe it when an input is gone and the others have taken over."""
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
    """Take the linear layer that a hidden layer feeds from a measured network."""
    layer = measured.layers[view.layer]
    return NextLayer(
        columns=net.tensors()[net.locate(view.place).columns].detach(),
        A=moment(run, layer),
        G=curvature(run, layer, OUTPUT_DAMPING),
        layer=layer,
    )


def neuron_costs(run: RunState, after: NextLayer) -> Tensor:
    """Predict by how much the loss rises when each neuron of a layer goes, at best.

    Returns:
        The costs [n], in nats.
    """
    layer, A = after.layer, after.A
    costs = removal_cost(after.columns, A, after.G)
    lost = residual_inputs(layer.inputs, A) if layer.roots else None
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

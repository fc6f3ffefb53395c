"""Pruning: remove the neurons and layers that the annealed network hardly needs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.core.records import Expansion
from senn_ray.growth.measure import Draw, Measured, draw, mean_loss, measure, moment
from senn_ray.growth.removal_costs import linearised, neuron_costs, next_layer
from senn_ray.nets.conv import ConvNet
from senn_ray.nets.mlp import MLP, dense
from senn_ray.nets.network import LayerIndex, Network
from senn_ray.nets.observe import View
from senn_ray.nets.surgery import Surgery, prune, remove_block, remove_layer, site
from senn_ray.training.run_state import RunState

SHARE = 0.5
"""Of the examples of a decision: costs are of what is there, nothing is searched."""


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

    The costs are predicted to second order, and what each removal does to the loss is
    then measured: one that raises the loss on the decision examples by more than twice
    the threshold is taken back. Ends when a prediction says that nothing is left to
    remove, or is wrong at its first removal.

    Args:
        run: The network and its data; changed in place.
        step: The step before which this takes place.
        born_before: Only neurons added before this step may go: a new one has no
            fan-out yet, so it costs nothing, and deserves time to earn some.

    Returns:
        The removals.
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
    """Tell whether another pruning would remove anything, changing nothing.

    Args:
        run: The network and its data.
        step: Names the decision.
        born_before: As in ``prune_cheapest``.
    """
    drawn = draw(run, "pruning", step, share=SHARE)
    measured = _measure(run, run.net, drawn)
    plan = plan_removals(run, measured, born_before)
    if not plan:
        return False
    tensors, layout = run.net.tensors(), run.net.layout
    _Editor(run, run.net, measured).remove(plan[0])
    after = mean_loss(run, run.net, drawn)
    run.net.become(tensors, layout)
    return after - measured.loss <= _most(run)


def _most(run: RunState) -> float:
    """Return the rise of the loss from which on a removal is taken back."""
    return 2 * run.spec.growth.removal_threshold * run.loss_unit


def _carry_out(
    run: RunState, plan: list[Removal], drawn: Draw, measured: Measured, step: int
) -> list[Expansion]:
    """Remove, measuring the loss after each, until one costs too much."""
    editors = [_Editor(run, run.net, measured)]
    if run.best is not None:
        best = _measure(run, run.best, drawn)
        editors.append(_Editor(run, run.best, best))
    loss, events = measured.loss, []
    for removal in plan:
        tensors, layout = run.net.tensors(), run.net.layout
        before, number = run.hidden, site(run.net, removal.place)
        change = editors[0].remove(removal)
        after = mean_loss(run, run.net, drawn)
        if after - loss > _most(run):
            run.net.become(tensors, layout)
            break
        for editor in editors[1:]:
            editor.remove(removal)
        run.follow(change, step)
        hidden = before, run.hidden
        events.append(_event(removal, (step, number), hidden, losses=(loss, after)))
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


def _measure(run: RunState, net: Network, drawn: Draw) -> Measured:
    return measure(run, net, drawn, with_inputs=_may_remove_layers(net))


def _may_remove_layers(net: Network) -> bool:
    return isinstance(net, MLP) and net.family.identity is not None


def plan_removals(run: RunState, measured: Measured, born_before: int) -> list[Removal]:
    """Choose what goes: the cheapest neurons one by one, or one whole layer.

    Within a layer every cost is that after the removals before it. Of other layers it
    is not: the loss that is measured after each removal is there for that.

    Args:
        run: The network and its gang.
        measured: The network, measured.
        born_before: Only what was added before this step may go.

    Returns:
        The removals in order, each below the threshold. A layer comes alone.
    """
    threshold = run.spec.growth.removal_threshold * run.loss_unit
    views = [view for view in measured.views if not view.is_new]
    layers = [_LayerPlan(run, view, measured, born_before) for view in views]
    whole = [
        Removal(v.place, None, linearised(run, run.net, v, measured)[0])
        for v, layer in zip(views, layers, strict=True)
        if not any(layer.young) and _may_go(run.net, v.place)
    ]
    plan: list[Removal] = []
    while True:
        neurons = [cheapest for layer in layers if (cheapest := layer.cheapest())]
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


def _may_go(net: Network, place: LayerIndex) -> bool:
    """Tell whether a whole layer could be removed.

    Of blocks all but the last one can, whatever σ is.
    """
    if isinstance(net, ConvNet):
        return sum(net.layout) > 1
    return _may_remove_layers(net) and _saves(net, place)


def _saves(net: Network, place: LayerIndex) -> bool:
    """Tell whether a network without the layer has fewer parameters."""
    parts = net.locate(place)
    rows, columns = net.tensors()[parts.rows], net.tensors()[parts.columns]
    return len(columns) * rows.shape[1] < rows.numel() + columns.numel()


def _event(
    removal: Removal,
    when: tuple[int, int],
    hidden: tuple[tuple[int, ...], tuple[int, ...]],
    *,
    losses: tuple[float, float],
) -> Expansion:
    return Expansion(
        step=when[0],
        kind="remove_layer" if removal.index is None else "prune",
        site=when[1],
        score_gain=None,
        relative_gain=None,
        current_score=None,
        heldout_gain=None,
        heldout_z=None,
        removal_cost=removal.cost,
        hidden_before=hidden[0],
        hidden_after=hidden[1],
        loss_before=losses[0],
        loss_after=losses[1],
    )

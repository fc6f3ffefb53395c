"""Pruning: remove the neurons and layers that the annealed network hardly needs."""

from dataclasses import dataclass

import torch

from senn_ray.nets.blocks import remove_block
from senn_ray.nets.conv import ConvNet
from senn_ray.nets.layers import remove_layer
from senn_ray.nets.mlp import MLP, dense
from senn_ray.nets.network import Network, Place
from senn_ray.nets.surgery import Surgery, prune, site
from senn_ray.records import Expansion
from senn_ray.training.measure import Draw, Measured, draw, measure, moment
from senn_ray.training.removal_costs import linearised, neuron_costs
from senn_ray.training.replica import Replica

SHARE = 0.5
"""Of the examples of a decision: costs are of what is there, nothing is searched."""


@dataclass(frozen=True)
class Removal:
    """A neuron, or a layer, that could go."""

    place: Place
    index: int | None
    """The neuron; none for the whole layer."""
    cost: float
    """Predicted rise of the loss, in nats, after compensation."""


@torch.no_grad()
def prune_cheapest(replica: Replica, step: int, *, born_before: int) -> list[Expansion]:
    """Remove neurons and layers, cheapest first, while each is below the threshold.

    The cost is predicted to second order and then measured: a removal that raises the
    loss on the decision examples by more than twice the threshold is taken back.

    Args:
        replica: The network and its data; changed in place.
        step: The step before which this takes place.
        born_before: Only neurons added before this step may go: a new one has no
            fan-out yet, so it costs nothing, and deserves time to earn some.

    Returns:
        The removals.
    """
    threshold = replica.spec.growth.removal_threshold * replica.loss_unit
    drawn = draw(replica, "pruning", step, share=SHARE)
    events: list[Expansion] = []
    measured = _measure(replica, replica.net, drawn)
    while removals := _candidates(replica, measured, born_before):
        removal = min(removals, key=lambda r: r.cost)
        if removal.cost > threshold:
            break
        tensors, layout = replica.net.tensors(), replica.net.layout
        before, number = replica.hidden, site(replica.net, removal.place)
        change = _remove(replica, replica.net, removal, measured)
        after = _measure(replica, replica.net, drawn)
        if after.loss - measured.loss > 2 * threshold:
            replica.net.become(tensors, layout)
            break
        if replica.best is not None:
            own = _measure(replica, replica.best, drawn)
            _remove(replica, replica.best, removal, own)
        replica.follow(change, step)
        events.append(
            _event(
                removal,
                (step, number),
                (before, replica.hidden),
                losses=(measured.loss, after.loss),
            )
        )
        measured = after
    return events


def _measure(replica: Replica, net: Network, drawn: Draw) -> Measured:
    return measure(replica, net, drawn, with_inputs=_may_remove_layers(net))


def _may_remove_layers(net: Network) -> bool:
    return isinstance(net, MLP) and net.family.identity is not None


def _candidates(
    replica: Replica, measured: Measured, born_before: int
) -> list[Removal]:
    """List the cheapest neuron of every layer, and every layer, that are old enough."""
    removals = []
    for view in measured.views:
        if view.is_new:
            continue
        births = replica.births[site(replica.net, view.place)]
        young = torch.tensor([born >= born_before for born in births])
        layer = measured.layers[view.layer]
        if len(births) > 1:  # The last neuron of a layer goes with it, or not at all.
            cost = neuron_costs(replica, view.place, layer)
            cost = cost.masked_fill(young.to(cost.device), torch.inf)
            index = int(cost.argmin())
            removals.append(Removal(view.place, index, cost[index].item()))
        if not young.any() and _may_go(replica.net, view.place):
            layer_cost, _ = linearised(replica, replica.net, view, measured)
            removals.append(Removal(view.place, None, layer_cost))
    return removals


def _may_go(net: Network, place: Place) -> bool:
    """Tell whether a whole layer could be removed.

    Of blocks all but the last one can, whatever σ is.
    """
    if isinstance(net, ConvNet):
        return sum(net.layout) > 1
    return _may_remove_layers(net) and _saves(net, place)


def _saves(net: Network, place: Place) -> bool:
    """Tell whether a network without the layer has fewer parameters."""
    parts = net.locate(place)
    rows, columns = net.tensors()[parts.rows], net.tensors()[parts.columns]
    return len(columns) * rows.shape[1] < rows.numel() + columns.numel()


def _remove(
    replica: Replica, net: Network, removal: Removal, measured: Measured
) -> Surgery:
    """Carry out a removal, with the network's own compensation."""
    (view,) = (v for v in measured.views if v.place == removal.place and not v.is_new)
    if removal.index is None:
        _, C = linearised(replica, net, view, measured)
        if isinstance(net, ConvNet):
            return remove_block(net, removal.place, C[:, 0])
        return remove_layer(dense(net), removal.place.layer, C)
    A = moment(replica, measured.layers[view.layer])
    return prune(net, removal.place, removal.index, A)


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

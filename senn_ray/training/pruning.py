"""Pruning: remove the neurons that the annealed network hardly needs."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from senn_ray.maths.removal import removal_cost
from senn_ray.nets.capture import Layer, capture, merge
from senn_ray.nets.mlp import MLP
from senn_ray.nets.surgery import Prune, prune
from senn_ray.records import Expansion
from senn_ray.training.ledger import FORWARD, moment_flops
from senn_ray.training.pools import INPUT_DAMPING
from senn_ray.training.replica import Replica

OUTPUT_DAMPING = 1e-3
"""Of G, so that the cost of a neuron that all agree on is not lost in rounding."""


@dataclass(frozen=True)
class Removal:
    """The cheapest neuron to remove."""

    change: Prune
    cost: float
    """Predicted rise of the loss, in nats, after compensation."""
    A: Tensor
    """Damped second moment of the inputs that the neuron is among."""


@torch.no_grad()
def prune_cheapest(replica: Replica, step: int, *, born_before: int) -> list[Expansion]:
    """Remove neurons, cheapest first, while each costs less than the threshold.

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
    growth, count = replica.spec.growth, len(replica.train)
    order = torch.randperm(count, generator=replica.generator("pruning", step))
    chosen = order[: growth.decision_examples]
    events: list[Expansion] = []
    loss, layers = _measure(replica, replica.net, chosen)
    while True:
        removal = _cheapest(replica, layers, len(chosen), born_before)
        if removal.cost > growth.removal_threshold:
            return events
        weights, before = list(replica.net.weights), replica.hidden
        prune(replica.net, removal.change, removal.A)
        after, layers = _measure(replica, replica.net, chosen)
        if after - loss > 2 * growth.removal_threshold:
            replica.net.weights = nn.ParameterList(weights)
            return events
        if replica.best is not None:
            _prune_best(replica, replica.best, removal.change, chosen)
        replica.optimizer.reshape(removal.change)
        del replica.births[removal.change.site][removal.change.index]
        events.append(
            _event(removal, step, (before, replica.hidden), losses=(loss, after))
        )
        loss = after


def _prune_best(replica: Replica, best: MLP, change: Prune, chosen: Tensor) -> None:
    """Remove the same neuron from the best network, with its own compensation."""
    _, layers = _measure(replica, best, chosen)
    prune(best, change, _moment(replica, layers[change.site].inputs, len(chosen)))


def _moment(replica: Replica, inputs: Tensor, count: int) -> Tensor:
    (A,) = replica.reduce([inputs.T @ inputs])
    replica.ledger.count(moment_flops(count, len(A)))
    return _damped(A / count, INPUT_DAMPING)


def _measure(replica: Replica, net: MLP, chosen: Tensor) -> tuple[float, list[Layer]]:
    """Return the mean loss, and the layers that hidden neurons feed."""
    captured = merge([
        capture(net, x, y, replica.task, first=1)
        for x, y in replica.batches(replica.shard(chosen))
    ])
    (total,) = replica.reduce([captured.loss[None]])
    replica.ledger.visit(len(chosen), replica.num_params, FORWARD)
    return total.item() / len(chosen), captured.layers


def _cheapest(
    replica: Replica, layers: list[Layer], count: int, born_before: int
) -> Removal:
    """Find the cheapest neuron of all sites; infinitely dear if none may go."""
    removals = []
    for site, layer in enumerate(layers):
        A = _moment(replica, layer.inputs, count)
        (G,) = replica.reduce([layer.curvature])
        G = _damped(G / count, OUTPUT_DAMPING)
        cost = removal_cost(replica.net.weights[site + 1].detach(), A, G)[:-1]
        births = replica.births[site]
        young = torch.tensor([born >= born_before for born in births])
        if len(births) == 1:  # The last neuron of a layer never goes.
            young[:] = True
        cost = cost.masked_fill(young.to(cost.device), torch.inf)
        index = int(cost.argmin())
        removals.append(Removal(Prune(site, index), cost[index].item(), A))
    return min(removals, key=lambda removal: removal.cost)


def _damped(matrix: Tensor, damping: float) -> Tensor:
    return matrix + damping * torch.eye(len(matrix)).to(matrix)


def _event(
    removal: Removal,
    step: int,
    hidden: tuple[tuple[int, ...], tuple[int, ...]],
    *,
    losses: tuple[float, float],
) -> Expansion:
    return Expansion(
        step=step,
        kind="prune",
        site=removal.change.site,
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

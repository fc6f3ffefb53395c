"""Pruning: remove the neurons that the annealed network hardly needs."""

import torch
from torch import Tensor, nn

from senn_ray.maths.removal import removal_cost
from senn_ray.nets.capture import Layer, capture
from senn_ray.nets.surgery import Prune, prune
from senn_ray.records import Expansion
from senn_ray.training.growth import INPUT_DAMPING
from senn_ray.training.ledger import FORWARD
from senn_ray.training.replica import Replica

OUTPUT_DAMPING = 1e-3
"""Of G, so that the cost of a neuron that all agree on is not lost in rounding."""


@torch.no_grad()
def prune_cheapest(replica: Replica, step: int) -> list[Expansion]:
    """Remove neurons, cheapest first, while each costs less than the threshold.

    The cost is predicted to second order and then measured: a removal that raises the
    loss on the decision examples by more than twice the threshold is taken back.

    Args:
        replica: The network and its data; changed in place.
        step: The step before which this takes place.

    Returns:
        The removals.
    """
    growth = replica.spec.growth
    chosen = torch.randperm(
        len(replica.train), generator=replica.generator("pruning", step)
    )[: growth.decision_examples]
    x, y = replica.train.batch(replica.shard(chosen))
    events: list[Expansion] = []
    while True:
        loss, layers = _measure(replica, x, y)
        costs = [
            _costs(replica, site, layer, len(chosen))
            for site, layer in enumerate(layers)
        ]
        site = min(range(len(costs)), key=lambda i: costs[i][0].min().item())
        cost, A = costs[site]
        index = int(cost.argmin())
        if cost[index].item() > growth.removal_threshold:
            return events
        weights = [w.detach() for w in replica.net.weights]
        before = replica.hidden
        prune(replica.net, Prune(site, index), A)
        after, _ = _measure(replica, x, y)
        if after - loss > 2 * growth.removal_threshold:
            replica.net.weights = nn.ParameterList(nn.Parameter(w) for w in weights)
            return events
        replica.optimizer.reshape(Prune(site, index))
        events.append(
            Expansion(
                step=step,
                kind="prune",
                site=site,
                score_gain=None,
                relative_gain=None,
                current_score=None,
                heldout_gain=None,
                heldout_z=None,
                removal_cost=cost[index].item(),
                hidden_before=before,
                hidden_after=replica.hidden,
                loss_before=loss,
                loss_after=after,
            )
        )


def _measure(replica: Replica, x: Tensor, y: Tensor) -> tuple[float, list[Layer]]:
    """Return the mean loss, and the layers that hidden neurons feed."""
    captured = capture(replica.net, x, y, replica.task, first=1)
    sums = replica.reduce([x.new_tensor([captured.loss * len(x), len(x)])])
    total, weight = sums[0].tolist()
    replica.ledger.visit(int(weight), replica.num_params, FORWARD)
    return total / weight, captured.layers


def _costs(
    replica: Replica, site: int, layer: Layer, count: int
) -> tuple[Tensor, Tensor]:
    """Return the costs [n_hidden] of a site's neurons and the damped A that gave them.

    The last neuron of a layer is never removed: its cost is infinite.
    """
    A, G = replica.reduce([layer.inputs.T @ layer.inputs, layer.curvature])
    A = A / count + INPUT_DAMPING * torch.eye(len(A), dtype=A.dtype, device=A.device)
    G = G / count + OUTPUT_DAMPING * torch.eye(len(G), dtype=G.dtype, device=G.device)
    cost = removal_cost(replica.net.weights[site + 1].detach(), A, G)[:-1]
    return (cost if len(cost) > 1 else cost + torch.inf), A

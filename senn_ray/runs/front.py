"""The front of a finished run: what its networks are worth beside each other."""

import dataclasses
import math

import torch
from torch import Tensor

from senn_ray.core.fronts import best
from senn_ray.core.records import Rung
from senn_ray.data.examples import Examples
from senn_ray.maths.losses import losses_by_example
from senn_ray.nets.network import Network
from senn_ray.training.cost import FORWARD
from senn_ray.training.run_state import RunState


@torch.no_grad()
def with_gaps(run: RunState) -> tuple[Rung, ...]:
    """Return the front of a run with every rung's gap to the best one.

    The gap is the mean, over the validation examples, of the difference of the two
    networks' losses, and its standard error that of this mean.
    """
    front = run.trace.front
    if len(front) < 2:
        return tuple(front)
    least = example_losses(run, run.front[best(front)], run.val)
    count, found = len(run.val), list[Rung]()
    for net, rung in zip(run.front, front, strict=True):
        difference = (example_losses(run, net, run.val) - least).double()
        sums = torch.stack([difference.sum(), difference.square().sum()])
        (sums,) = run.reduce([sums])
        mean, square = (sums / count).tolist()
        variance = max(square - mean**2, 0.0) / max(count - 1, 1)
        gap = dataclasses.replace(rung, gap=mean, gap_se=math.sqrt(variance))
        found.append(gap)
    return tuple(found)


def example_losses(run: RunState, net: Network, part: Examples) -> Tensor:
    """Return the loss of each example of a part, of this replica's share [m]."""
    own = run.shard(torch.arange(len(part)))
    pieces = []
    for indices in own.split(2 * net.batch_size):
        x, y = part.batch(indices)
        pieces.append(losses_by_example(net(x), y, run.task))
    run.ledger.visit(len(part), net.architecture().multiply_adds(), FORWARD)
    return torch.cat(pieces)

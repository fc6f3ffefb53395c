"""Evaluation: loss and accuracy over a whole part of a data set."""

import torch

from senn_ray.data.examples import Examples
from senn_ray.maths.losses import loss
from senn_ray.nets.network import Network
from senn_ray.training.cost import FORWARD
from senn_ray.training.run_state import Quality, RunState


@torch.no_grad()
def evaluate(run: RunState, net: Network, part: Examples) -> Quality:
    """Measure a network on every example of a part, shared over the gang.

    The network has the present size of the run: its own, the best, or a trial of them.
    """
    own = run.shard(torch.arange(len(part)))
    total = part.shift.new_zeros(2, dtype=torch.float64)
    for indices in own.split(2 * net.batch_size):
        x, y = part.batch(indices)
        outputs = net(x)
        total[0] += loss(outputs, y, run.task).double() * len(x)
        if run.task == "classification":
            total[1] += (outputs.argmax(1) == y).sum()
    (total,) = run.reduce([total])
    run.ledger.visit(len(part), run.multiply_adds, FORWARD)
    mean_loss, accuracy = (total / len(part)).tolist()
    return Quality(mean_loss, accuracy if run.task == "classification" else None)

"""Evaluation: loss and accuracy over a whole part of a data set."""

import torch

from senn_ray.data.examples import Examples
from senn_ray.maths.losses import loss
from senn_ray.nets.network import Network
from senn_ray.training.cost import FORWARD
from senn_ray.training.run_state import Quality, RunState


@torch.no_grad()
def evaluate(run: RunState, net: Network, part: Examples) -> Quality:
    """Measure a network on every example of a part, shared over the gang."""
    own = run.shard(torch.arange(len(part)))
    classes = run.num_outputs if run.task == "classification" else 0
    # The loss, then for each class its right answers, then its examples.
    total = part.shift.new_zeros(1 + 2 * classes, dtype=torch.float64)
    for indices in own.split(2 * net.batch_size):
        x, y = part.batch(indices)
        outputs = net(x)
        total[0] += loss(outputs, y, run.task).double() * len(x)
        if run.task == "classification":
            total[1:] += torch.cat([
                torch.bincount(labels, minlength=classes)
                for labels in (y[outputs.argmax(1) == y], y)
            ])
    (total,) = run.reduce([total])
    run.ledger.visit(len(part), net.architecture().multiply_adds(), FORWARD)
    mean_loss = (total[0] / len(part)).item()
    if not classes:
        return Quality(mean_loss, None)
    right, there = total[1:].view(2, classes)
    recalls = right[there > 0] / there[there > 0]
    accuracy = (right.sum() / len(part)).item()
    return Quality(mean_loss, accuracy, recalls.mean().item())

"""Weight decay that follows the validation loss, the same for growing and fixed runs.

A network that memorises its examples becomes too sure of itself, and then its
validation loss would fall if all its weights shrank; one that has not yet learnt what it
could wants larger weights. So at every evaluation they are shrunk a little on trial; while
that helps decay rises, and while it harms decay falls. It begins where few examples of
many inputs need it, and is less the more examples there are. Following the gradient of
the validation loss with respect to a regulariser is Luketina et al.'s (2016) idea; here
it is a finite difference, as one number for the whole network.
"""

import copy
import math
from dataclasses import dataclass

import torch

from senn_ray.config import TrainConfig
from senn_ray.maths.losses import output_gradient
from senn_ray.nets.network import Network
from senn_ray.training.cost import FORWARD
from senn_ray.training.run_state import RunState

PER_INPUT = 10.0
"""Decay at the start, times examples over inputs."""
START = (0.01, 3.0)
"""Least and greatest decay at the start."""
BOUNDS = (1e-3, 30.0)
"""Least and greatest decay that a run may reach."""
SPEED = 1000.0
"""By how much decay can rise over a run."""
FALL = 0.25
"""How fast it falls, over how fast it rises."""
NOISE = 1.0
TRIAL = 0.01
"""Fraction of all weights that is taken away on trial."""
FULL = 0.1
"""d log(loss) / d log(scale of the weights) from which decay changes at full speed."""


@dataclass(frozen=True)
class Slope:
    """d log(validation loss) / d log(scale of the weights), measured."""

    value: float
    error: float
    """Its standard error, by the validation examples."""


def starting_decay(config: TrainConfig, inputs: int, examples: int) -> float:
    """Return the weight decay of the first steps.

    Args:
        config: A decay given is held fixed.
        inputs: Features of an example.
        examples: Number of training examples.
    """
    if config.weight_decay is not None:
        return config.weight_decay
    least, most = START
    return min(max(PER_INPUT * inputs / examples, least), most)


def next_decay(run: RunState, val_loss: float, share: float) -> float:
    """Choose the weight decay of the steps until the next evaluation.

    Where it is held fixed, nothing is tried.

    Args:
        run: A run that has just been evaluated; it is not changed.
        val_loss: Its validation loss.
        share: Steps since decay was chosen last, over those of a plain run.
    """
    if looks(run.spec.train) == 1 or not val_loss:
        return run.weight_decay
    return followed(run.weight_decay, slope(run, val_loss), share)


def looks(config: TrainConfig) -> int:
    """Return how often an evaluation looks at the validation part, trials included."""
    return 3 if config.weight_decay is None else 1


@torch.no_grad()
def slope(run: RunState, val_loss: float) -> Slope:
    """Measure what shrinking all weights would do to the validation loss.

    Args:
        run: A run that has just been evaluated.
        val_loss: Its validation loss, above zero.
    """
    smaller, val = shrunk(run.net), run.val
    sums = val.shift.new_zeros(2, dtype=torch.float64)
    for indices in run.shard(torch.arange(len(val))).split(2 * run.net.batch_size):
        x, y = val.batch(indices)
        outputs = run.net(x)
        moved = (outputs - smaller(x)) * output_gradient(outputs, y, run.task)
        each = moved.sum(1).double() / TRIAL
        sums += torch.stack([each.sum(), each.square().sum()])
    (sums,) = run.reduce([sums])
    run.ledger.visit(2 * len(val), run.multiply_adds, FORWARD)
    mean, square = (sums / len(val)).tolist()
    error = math.sqrt(max(square - mean**2, 0.0) / len(val))
    return Slope(mean / val_loss, error / val_loss)


def followed(decay: float, slope: Slope, share: float) -> float:
    """Move a decay by the slope of the validation loss.

    Args:
        decay: The present one.
        slope: How the loss follows the scale of the weights; an unsure one moves less.
        share: As in ``next_decay``.
    """
    square = slope.value**2
    sure = square / (square + NOISE * slope.error**2) if square else 0.0
    speed = sure * max(-1.0, min(1.0, slope.value / FULL))
    if speed < 0:
        speed *= FALL
    least, most = BOUNDS
    return min(max(decay * SPEED ** (speed * share), least), most)


@torch.no_grad()
def shrunk(net: Network) -> Network:
    """Copy a network with every weight that decays a little smaller."""
    smaller = copy.deepcopy(net)
    for W, decays in zip(smaller.tensors(), smaller.decayed(), strict=True):
        if decays:
            W[..., :-1] *= 1 - TRIAL
    return smaller

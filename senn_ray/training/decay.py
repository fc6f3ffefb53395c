"""Weight decay that follows the validation loss, the same for growing and fixed runs.

A network that memorises its examples becomes too sure of itself, and then its
validation loss would fall if all its weights shrank. So at every evaluation they are
shrunk a little on trial; while that helps decay rises, and while it harms decay falls,
never below the one of the settings. Following the gradient of the validation loss with
respect to a regulariser is Luketina et al.'s (2016) idea; here it is a finite
difference, as one number for the whole network.
"""

import copy

import torch

from senn_ray.config import TrainConfig
from senn_ray.nets.network import Network
from senn_ray.training.evaluate import evaluate
from senn_ray.training.run_state import RunState

TRIAL = 0.01
"""Fraction of all weights that is taken away on trial."""
FULL = 0.1
"""d log(loss) / d log(scale of the weights) from which decay changes at full speed."""


def next_decay(run: RunState, val_loss: float) -> float:
    """Choose the weight decay of the steps until the next evaluation.

    Where it may not rise, nothing is tried.

    Args:
        run: A run that has just been evaluated; it is not changed.
        val_loss: Its validation loss.
    """
    config = run.spec.train
    if looks(config) == 1 or not val_loss:
        return run.weight_decay
    # One-sided: the loss itself is known from the evaluation, so a trial costs one more.
    smaller = evaluate(run, shrunk(run.net), run.val).loss
    slope = (val_loss - smaller) / (TRIAL * val_loss)
    return followed(run.weight_decay, slope, config)


def looks(config: TrainConfig) -> int:
    """Return how often an evaluation looks at the validation part: with a trial, twice."""
    return 2 if config.weight_decay and config.decay_range > 1 else 1


def followed(decay: float, slope: float, config: TrainConfig) -> float:
    """Move a decay by the slope of the validation loss.

    Args:
        decay: The present one.
        slope: d log(loss) / d log(scale of the weights).
        config: The least decay, and by how much it may rise over a run.
    """
    speed = max(-1.0, min(1.0, slope / FULL))
    moved = decay * config.decay_range ** (speed / config.evaluations)
    # A short schedule may have more evaluations than it was asked for.
    most = config.weight_decay * config.decay_range
    return min(max(config.weight_decay, moved), most)


@torch.no_grad()
def shrunk(net: Network) -> Network:
    """Copy a network with every weight that decays a little smaller."""
    smaller = copy.deepcopy(net)
    for W, decays in zip(smaller.tensors(), smaller.decayed(), strict=True):
        if decays:
            W[..., :-1] *= 1 - TRIAL
    return smaller

"""Losses, with the gradient and curvature with respect to the network's output."""

from typing import Literal

import torch
from torch import Tensor

Task = Literal["classification", "regression"]


def loss(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """Measure the mean loss.

    Args:
        outputs: Network outputs [n, n_out].
        targets: Classes [n] (int64) or values [n, n_out].
        task: Softmax cross-entropy in nats, or half the squared error.

    Returns:
        The mean over examples, a scalar; over none it is 0.
    """
    if not len(outputs):
        # A replica whose share is empty: 0, not 0/0, and with a gradient that is 0.
        return outputs.sum()
    if task == "classification":
        return torch.nn.functional.cross_entropy(outputs, targets)
    return 0.5 * (outputs - targets).square().sum(1).mean()


def losses_by_example(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """Measure the loss of each example [n]; arguments as in ``loss``."""
    if task == "classification":
        return torch.nn.functional.cross_entropy(outputs, targets, reduction="none")
    return 0.5 * (outputs - targets).square().sum(1)


def constant_predictor_loss(
    known: Tensor, targets: Tensor, task: Task, num_outputs: int
) -> float:
    """Measure the mean loss of the best constant outputs, which see no features.

    Args:
        known: Targets [n] or [n, n_out] to guess from: by the frequencies of their
            classes (one of each added, so that none is impossible), or their mean.
        targets: Targets to be guessed.
        task: As in ``loss``.
        num_outputs: Classes, or targets of an example.

    Returns:
        In nats, or in units of the squared targets.
    """
    if task == "classification":
        constant = known.bincount(minlength=num_outputs).add(1).double().log()
    else:
        constant = known.double().mean(0)
        targets = targets.double()
    return loss(constant.expand(len(targets), -1), targets, task).item()


def output_gradient(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """Differentiate each example's loss with respect to its outputs.

    Args:
        outputs: Network outputs [n, n_out].
        targets: Classes [n] (int64) or values [n, n_out].
        task: As in ``loss``.

    Returns:
        Per-example gradients [n, n_out]: p - onehot(y), or the error.
    """
    if task == "classification":
        gradient = outputs.softmax(1)
        gradient[torch.arange(len(targets), device=targets.device), targets] -= 1
        return gradient
    return outputs - targets


def curvature_root(outputs: Tensor, task: Task) -> Tensor:
    """Factorise each example's output Hessian: H = B Bᵀ.

    For the softmax, H = diag(p) - p pᵀ and B = diag(√p) - p √pᵀ; for the squared
    error, H = B = I.

    Args:
        outputs: Network outputs [n, n_out].
        task: As in ``loss``.

    Returns:
        The roots B [n, n_out, n_out].
    """
    n, n_out = outputs.shape
    eye = torch.eye(n_out, dtype=outputs.dtype, device=outputs.device)
    if task == "regression":
        return eye.expand(n, n_out, n_out)
    p = outputs.softmax(1)
    root = p.sqrt()
    return eye * root[:, :, None] - p[:, :, None] * root[:, None, :]


def output_curvature(outputs: Tensor, task: Task) -> Tensor:
    """Sum the output Hessians over examples, without forming each.

    Args:
        outputs: Network outputs [n, n_out].
        task: As in ``loss``.

    Returns:
        Σ H [n_out, n_out]: Σ diag(p) - p pᵀ, or n I.
    """
    if task == "classification":
        p = outputs.softmax(1)
        return torch.diag(p.sum(0)) - p.T @ p
    n, n_out = outputs.shape
    return n * torch.eye(n_out, dtype=outputs.dtype, device=outputs.device)

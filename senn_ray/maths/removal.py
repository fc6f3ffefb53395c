"""The removal cost of neurons, and the compensation that makes it small.

When input i of a linear layer with weights W [n_out, n_in] is removed, the remaining
weights can take over what they can: W_r += w_i A_ir A_rr⁻¹. The function then changes by
w_i (a_i - A_ir A_rr⁻¹ a_r), whose second moment is 1/[A⁻¹]_ii, so the loss rises by

    cost_i = ½ |w_i - n_i|²_G / [A⁻¹]_ii      (in nats)

with n the natural step still to be taken (zero for a trained layer). The same number
is half the score gain of adding the neuron back: one currency for growing and pruning.

All of it follows from A⁻¹, which loses an input by one rank-one change: a layer is
inverted once, however many of its inputs go.
"""

import torch
from torch import Tensor

from senn_ray.maths.linalg import solve


def removal_cost(
    W: Tensor, precision: Tensor, G: Tensor, *, n: Tensor | None = None
) -> Tensor:
    """Predict by how much the loss rises when each input is removed, at best.

    Args:
        W: Weights [n_out, n_in].
        precision: A⁻¹ [n_in, n_in], of the damped second moment of the inputs.
        G: Gauss-Newton moment of the outputs [n_out, n_out].
        n: Natural gradient [n_out, n_in], where the layer is not trained yet.

    Returns:
        The costs [n_in], in units of the loss.
    """
    change = W if n is None else W - n
    return 0.5 * (change * (G @ change)).sum(0) / precision.diagonal().to(W)


def residual_inputs(inputs: Tensor, precision: Tensor) -> Tensor:
    """Return of every input what the best linear function of the others leaves.

    Args:
        inputs: [n, n_in].
        precision: Inverse of their damped second moment [n_in, n_in].

    Returns:
        [n, n_in].
    """
    return inputs @ (precision / precision.diagonal()).to(inputs)


def compensation(W: Tensor, precision: Tensor, index: int) -> Tensor:
    """Let the remaining inputs take over what the removed one did.

    Minimises E|G^½ (change of the outputs)|² over the remaining weights. The share of
    each of them is A_rr⁻¹ A_ri = - [A⁻¹]_ri / [A⁻¹]_ii.

    Args:
        W: Weights [n_out, n_in].
        precision: A⁻¹ [n_in, n_in].
        index: The input that goes.

    Returns:
        New weights [n_out, n_in - 1], without column ``index``.
    """
    keep = torch.arange(W.shape[1], device=W.device) != index
    share = (-precision[keep, index] / precision[index, index]).to(W)
    return W[:, keep] + torch.outer(W[:, index], share)


def precision_without(precision: Tensor, index: int) -> Tensor:
    """Return the inverse of A without one input, from A⁻¹ [n_in, n_in]."""
    keep = torch.arange(len(precision), device=precision.device) != index
    column = precision[keep, index]
    return precision[keep][:, keep] - torch.outer(
        column, column / precision[index, index]
    )


def layer_removal(
    V: Tensor, A: Tensor, G: Tensor, *, cross: Tensor, power: Tensor
) -> tuple[float, Tensor]:
    """Predict by how much the loss rises when a layer becomes linear, at best.

    Its activations s are replaced by C a, the best linear function of its inputs; the
    outputs of the layer after it change by V (s - C a).

    Args:
        V: Weights of the layer after it [n_out, n], without the bias.
        A: Damped second moment of its inputs [n_in, n_in].
        G: Gauss-Newton moment of the outputs of the layer after it [n_out, n_out].
        cross: E[s aᵀ] [n, n_in].
        power: E[s sᵀ] [n, n].

    Returns:
        The cost ½ Tr[Vᵀ G V E[r rᵀ]] in units of the loss, and C [n, n_in].
    """
    C = solve(A, cross.T).T
    rest = power - C @ cross.T
    return 0.5 * ((V.T @ G @ V) * rest).sum().item(), C

"""Kronecker-factored Fisher algebra of one linear layer.

A = E[a aᵀ] [n_in, n_in] is the second moment of the layer's inputs (with the constant
1), G = E[Jᵀ H J] [n_out, n_out] the Gauss-Newton moment of its outputs, and the layer's
Fisher block is G ⊗ A (Martens & Grosse 2015).
"""

import torch
from torch import Tensor

from senn_ray.maths.linalg import cholesky


def damped_cholesky(matrix: Tensor, damping: float | Tensor) -> Tensor:
    """Factorise ``matrix + damping * I``.

    Args:
        matrix: [n, n], symmetric positive semi-definite.
        damping: Tikhonov damping, at least 0, in the units of the matrix.

    Returns:
        Lower Cholesky factor [n, n]; see ``linalg`` for what damping does not mend.
    """
    eye = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    return cholesky(0.5 * (matrix + matrix.T) + damping * eye)


def natural_gradient(dW: Tensor, chol_A: Tensor, chol_G: Tensor) -> Tensor:
    """Solve F n = dW for one layer: n = G⁻¹ dW A⁻¹.

    Args:
        dW: Gradient [n_out, n_in].
        chol_A: Cholesky factor of the damped A [n_in, n_in].
        chol_G: Cholesky factor of the damped G [n_out, n_out].

    Returns:
        The natural gradient [n_out, n_in].
    """
    return torch.cholesky_solve(
        torch.cholesky_solve(dW, chol_G).T.contiguous(), chol_A
    ).T


def expansion_score(dW: Tensor, chol_A: Tensor, chol_G: Tensor) -> Tensor:
    """Score the parameters a layer already has: η = Tr[G⁻¹ dW A⁻¹ dWᵀ].

    η = gᵀF⁻¹g in the Kronecker approximation (Mitchell et al. 2023, 3.1): the natural
    step promises to lower the loss by η/2.

    Args:
        dW: Gradient E[g aᵀ] [n_out, n_in].
        chol_A: Cholesky factor of the damped A [n_in, n_in].
        chol_G: Cholesky factor of the damped G [n_out, n_out].

    Returns:
        The score, a scalar in units of twice the loss.
    """
    return (dW * natural_gradient(dW, chol_A, chol_G)).sum()


def score_ceiling(gradients: Tensor, chol_G: Tensor) -> Tensor:
    """Bound the score any inputs could reach: λ = Tr[G⁻¹ E[g gᵀ]].

    Bessel's inequality in the G⁻¹ metric: η <= λ for every set of inputs.

    Args:
        gradients: Per-example output gradients g [n, n_out].
        chol_G: Cholesky factor of the damped G [n_out, n_out].

    Returns:
        The ceiling, a scalar in units of twice the loss; of no examples it is 0.
    """
    whitened = torch.linalg.solve_triangular(chol_G, gradients.T, upper=False)
    return whitened.square().sum() / max(len(gradients), 1)

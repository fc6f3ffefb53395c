"""Factorisations that no finite data make fail; all of the package are here.

Second moments are singular more often than not: grey pictures stored as RGB, columns
that are constant or there twice, dead neurons, fewer examples than inputs. In float32
rounding makes their small eigenvalues negative, by about eps times the largest one.

What torch can factorise is returned as it is. Else the matrix is factorised in float64
plus a ridge of eps (of its own precision) times its mean diagonal, times 1, 10, 100, …
until it is positive definite. The ridge depends on the matrix alone, so replicas that
hold the same sums take the same one. A matrix that is not finite is a
``NotFiniteError``: the run has diverged.
"""

import torch
from torch import Tensor

_LinAlgError = torch.linalg.LinAlgError  # pyright: ignore[reportPrivateImportUsage]


class NotFiniteError(ArithmeticError):
    """Report that numbers to be factorised are infinite or not numbers."""


def require_finite(*matrices: Tensor) -> None:
    """Check the numbers that a decision or a step follows from.

    Raises:
        NotFiniteError: if any of them is infinite or not a number.
    """
    for matrix in matrices:
        if not matrix.isfinite().all():
            raise NotFiniteError("activations or gradients are no longer finite")


def cholesky(matrix: Tensor) -> Tensor:
    """Factorise a positive semi-definite matrix: L Lᵀ = matrix, plus a ridge if needed.

    Args:
        matrix: [n, n], symmetric.

    Returns:
        The lower factor L [n, n], of the precision of the matrix.
    """
    factor, info = torch.linalg.cholesky_ex(matrix)
    # An infinite entry may pass, as an infinite pivot.
    if not info and factor.diagonal().isfinite().all():
        return factor
    return _ridged_cholesky(matrix).to(matrix)


def inverse(matrix: Tensor) -> Tensor:
    """Invert a positive definite matrix [n, n], with a ridge if it is singular."""
    result, info = torch.linalg.inv_ex(matrix)
    diagonal = result.diagonal()
    # Each is one over a variance: what rounding has made negative has no meaning.
    if not info and (diagonal.isfinite() & (diagonal > 0)).all():
        return result
    return torch.cholesky_inverse(_ridged_cholesky(matrix)).to(matrix)


def solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve for a positive definite matrix, with a ridge if it is singular.

    Args:
        matrix: [n, n].
        right: [n] or [n, m].
    """
    result, info = torch.linalg.solve_ex(matrix, right)
    if not info and result.isfinite().all():
        return result
    require_finite(right)
    columns = right.double().view(len(right), -1)
    solution = torch.cholesky_solve(columns, _ridged_cholesky(matrix))
    return solution.view_as(right).to(right)


def eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues [n], ascending, and eigenvectors [n, n] of a symmetric one.

    Where the solver gives up, a slope over the diagonal tells equal eigenvalues apart.
    """
    require_finite(matrix)
    wide, scale = matrix, 0.0
    while True:
        try:
            values, vectors = torch.linalg.eigh(wide)
        except _LinAlgError:
            scale = 10 * scale or _unit(matrix)
            slope = torch.linspace(1, 2, len(matrix)).to(matrix.device).double()
            wide = matrix.double() + (scale * slope).diag()
        else:
            return values.to(matrix), vectors.to(matrix)


def right_singular(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the singular values, descending, and the right singular vectors in rows.

    Args:
        matrix: [n, m].

    Returns:
        [r] and [r, m] with r = min(n, m).
    """
    require_finite(matrix)
    try:
        _, strength, directions = torch.linalg.svd(matrix, full_matrices=False)
    except _LinAlgError:
        wide = matrix.double()
        values, vectors = eigh(wide.T @ wide)
        count = min(matrix.shape)
        strength = values.flip(0)[:count].clamp_min(0).sqrt().to(matrix)
        directions = vectors.T.flip(0)[:count].to(matrix)
    return strength, directions


def _ridged_cholesky(matrix: Tensor) -> Tensor:
    """Factorise a matrix in float64, with the least ridge of the rule."""
    require_finite(matrix)
    wide = matrix.double()
    eye = torch.eye(len(wide), dtype=wide.dtype, device=wide.device)
    ridge = _unit(matrix)
    while True:
        factor, info = torch.linalg.cholesky_ex(wide + ridge * eye)
        if not info:
            return factor
        ridge *= 10


def _unit(matrix: Tensor) -> float:
    """Return what rounding has done to a matrix; a matrix of zeros has no scale."""
    scale = matrix.double().diagonal().abs().mean().item()
    return torch.finfo(matrix.dtype).eps * (scale or 1.0)

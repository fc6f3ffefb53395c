"""Proposals: search for the neuron with the largest score gain.

Candidates live in whitened coordinates of the site's inputs: a candidate (u, b) has
the pre-activation z = uᵀ x̃ + b with E[x̃ x̃ᵀ] = I, so |u| is the spread of z, and
gradient ascent is well conditioned. Everything here is equivariant to rotations of the
coordinates, because an eigenbasis is unique only up to rotations: replicas and gangs
of any size search the same neurons.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.maths.linalg import eigh, right_singular
from senn_ray.maths.measured import Climb, climb_from
from senn_ray.maths.score import Reduce, Site

Nonlinearity = Callable[[Tensor], Tensor]

LEAST_SPREAD, LARGEST_SPREAD = 0.3, 3.0
"""Bounds on |u|: below, a neuron is almost linear; above, almost a step."""

LEAST_STRENGTH = 1e-3
"""Least singular value of a leading direction, over the largest one."""


@dataclass(frozen=True)
class Whitening:
    """The coordinates x̃ = (x - mean) @ basis of a site's inputs."""

    mean: Tensor
    """[d]"""
    basis: Tensor
    """[d, r]: leading eigenvectors, each over the root of its damped eigenvalue."""

    def coordinates(self, x: Tensor) -> Tensor:
        """Map inputs [n, d] to coordinates [n, r]."""
        return x @ self.basis - self.mean @ self.basis

    def fan_in(self, candidates: Tensor) -> Tensor:
        """Map candidates [K, r + 1] to weights [K, d + 1] on raw inputs, bias last."""
        weights = candidates[:, :-1] @ self.basis.T
        bias = candidates[:, -1] - weights @ self.mean
        return torch.cat([weights, bias[:, None]], 1)


def whiten(x: Tensor, *, rank: int, shrinkage: float, reduce: Reduce) -> Whitening:
    """Measure the whitening of a site's inputs.

    Args:
        x: Inputs [n, d] of this replica.
        rank: Most leading directions to keep.
        shrinkage: Damping of the eigenvalues, as a share of their mean: directions of
            little variance are not blown up.
        reduce: Sums over the gang.

    Returns:
        The whitening.
    """
    mean, values, vectors = _principal_axes(x, reduce)
    rank = min(rank, len(values))
    damped = values + shrinkage * values.mean() + torch.finfo(x.dtype).tiny
    basis = vectors[:, -rank:] / damped[-rank:].sqrt()
    return Whitening(mean, basis.contiguous())


def symmetric_whitening(x: Tensor, *, ratio: float, reduce: Reduce) -> Whitening:
    """Measure an invertible, well-conditioned whitening that does not rotate.

    Args:
        x: Inputs [n, d] of this replica.
        ratio: Bound on a singular value over their geometric mean, and its inverse.
        reduce: Sums over the gang.

    Returns:
        The whitening, its basis symmetric [d, d].
    """
    mean, values, vectors = _principal_axes(x, reduce)
    scales = -0.5 * (values + torch.finfo(x.dtype).tiny).log()
    # Directions without any variance must not decide what the usual scale is.
    alive = values > 1e-6 * values[-1]
    middle = scales[alive].mean() if alive.any() else scales.new_zeros(())
    bound = math.log(ratio)
    scales = (middle + (scales - middle).clamp(-bound, bound)).exp()
    return Whitening(mean, (vectors * scales) @ vectors.T)


def _principal_axes(x: Tensor, reduce: Reduce) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean [d], and the covariance's eigenvalues [d] and vectors [d, d]."""
    total, count = reduce([x.sum(0), x.new_full((1,), len(x))])
    mean = total / count
    centred = x - mean
    (covariance,) = reduce([centred.T @ centred])
    covariance = covariance / count
    # Many inputs that never change are one eigenvalue many times over, at which the
    # solver may give up; a slight slope over the diagonal tells them apart.
    scale = torch.finfo(x.dtype).eps * covariance.diagonal().mean()
    slope = torch.linspace(1, 2, len(covariance)).to(covariance)
    values, vectors = eigh(covariance + (scale * slope).diag())
    return mean, values.clamp_min(0), vectors


def initial_candidates(
    site: Site,
    coordinates: Tensor,
    whitening: Whitening,
    *,
    count: int,
    generator: torch.Generator,
    reduce: Reduce,
) -> Tensor:
    """Start candidates from the data and from chance.

    Up to half of them are ± the leading directions of the whitened cross-moment
    G^-½ E[g_r x̃ᵀ], which a linear feature would need; the rest are random directions.

    Args:
        site: Statistics of the site.
        coordinates: x̃ [n, r] of this replica's examples.
        whitening: How the coordinates were made.
        count: How many candidates, K.
        generator: Source of chance, the same on all replicas.
        reduce: Sums over the gang.

    Returns:
        Candidates [K, r + 1], the bias last, spread 1.
    """
    (cross,) = reduce([site.residual.T @ coordinates])
    whitened = torch.linalg.solve_triangular(site.chol_G, cross, upper=False)
    strength, directions = right_singular(whitened)
    # Softmax gradients sum to zero, so one direction is rounding error: leave it out.
    leading = directions[strength > LEAST_STRENGTH * strength[0]][: count // 4]
    raw = leading @ whitening.basis.T
    peak = raw.gather(1, raw.abs().argmax(1, keepdim=True))
    leading = leading * peak.sign()
    num_random = count - 2 * len(leading)
    noise = torch.randn(
        num_random, len(whitening.mean) + 1, generator=generator,
        device=generator.device,
    ).to(coordinates)  # fmt: skip
    # Drawn in raw inputs and then mapped, so that no basis is preferred.
    random = noise[:, :-1] @ whitening.basis / whitening.basis.norm(dim=1).max()
    random = random / random.norm(dim=1, keepdim=True)
    directions = torch.cat([leading, -leading, random])
    bias = torch.zeros(len(directions), 1).to(coordinates)
    bias[2 * len(leading) :, 0] = noise[:, -1]
    return torch.cat([directions, bias], 1)


def activations(
    candidates: Tensor, coordinates: Tensor, nonlinearity: Nonlinearity
) -> Tensor:
    """Compute candidate activations c [n, K]."""
    return nonlinearity(coordinates @ candidates[:, :-1].T + candidates[:, -1])


def ascend(
    site: Site,
    candidates: Tensor,
    coordinates: Tensor,
    nonlinearity: Nonlinearity,
    *,
    steps: int,
    reduce: Reduce,
) -> tuple[Tensor, Tensor]:
    """Raise every candidate's score gain by gradient ascent with backtracking.

    Each candidate walks on its own: a step of its own length along its normalised
    gradient, kept only where the gain rose, else tried shorter. The spread |u| stays
    within its bounds.

    Args:
        site: Statistics of the site on the optimisation examples.
        candidates: Where to start [K, r + 1].
        coordinates: x̃ [n, r] of the same examples.
        nonlinearity: The site's activation.
        steps: How many steps.
        reduce: Sums over the gang.

    Returns:
        The best candidates found, and their gains [K]: exact, or measured where a layer
        acts at many positions.
    """
    best = candidates
    height, slope = _height_and_slope(site, best, coordinates, nonlinearity, reduce)
    length = torch.full_like(best[:, :1], 0.5)
    for _ in range(steps):
        trial = _bounded(best + length * slope)
        new_height, new_slope = _height_and_slope(
            site, trial, coordinates, nonlinearity, reduce
        )
        better = (new_height > height)[:, None]
        best = torch.where(better, trial, best)
        slope = torch.where(better, new_slope, slope)
        length = torch.where(better, length * 1.3, length * 0.4)
        height = torch.where(better[:, 0], new_height, height)
    return best, height


def _bounded(candidates: Tensor) -> Tensor:
    spread = candidates[:, :-1].norm(dim=1, keepdim=True)
    factor = spread.clamp(LEAST_SPREAD, LARGEST_SPREAD) / spread.clamp_min(1e-12)
    bias = candidates[:, -1:].clamp(-LARGEST_SPREAD, LARGEST_SPREAD)
    return torch.cat([candidates[:, :-1] * factor, bias], 1)


def _height_and_slope(
    site: Site,
    candidates: Tensor,
    coordinates: Tensor,
    nonlinearity: Nonlinearity,
    reduce: Reduce,
) -> tuple[Tensor, Tensor]:
    """Return the gains [K] and their normalised gradients [K, r + 1]."""
    with torch.enable_grad():
        leaf = candidates.detach().requires_grad_()
        c = activations(leaf, coordinates, nonlinearity)
        climb: Climb = climb_from(site, c.detach(), reduce=reduce)
        # A scalar, because torch imports sympy (seconds) for a given cotangent.
        (slope,) = torch.autograd.grad((c * climb.cotangent).sum(), leaf)
    (slope,) = reduce([slope])
    return climb.height, slope / slope.norm(dim=1, keepdim=True).clamp_min(1e-30)

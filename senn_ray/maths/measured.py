"""What candidates search for: a gain and its derivative, measured where it must be.

A dense layer's candidates climb the exact score gain (``score``). Where a layer acts at
many positions the Kronecker factors misjudge the curvature K of a candidate's step
(``steps``), so candidates climb the gain of the step d = G⁻¹P by its own curvature,

    M = N² / K,   N = Pᵀd,   K = E[(Σ_t q_t)²],   q_t = (j_tᵀ d) c_r,t

up to the Kronecker gain N / V. With e = dK/dq, y = E[j e c_r] and P = E[g_r c]

    dM/dc = g_rᵀ ((4N/K) d - (N²/K²) G⁻¹y) - (N²/K²) (v - aᵀA⁻¹E[a v]),   v = e (j_tᵀ d)

(the last term because c_r = c - aᵀA⁻¹E[a c]; both over the number of examples).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.maths.score import (
    Gain,
    Reduce,
    Site,
    gain_cotangent,
    measured_curvature,
    score_gain,
)
from senn_ray.maths.steps import square_of_sums_slope


@dataclass(frozen=True)
class Climb:
    """Candidates on their way up."""

    gain: Gain
    height: Tensor
    """What they climb, and what counts between places [K]."""
    cotangent: Tensor
    """Its derivative by their activations [n, K], of this replica's examples."""


def climb_from(site: Site, candidates: Tensor, *, reduce: Reduce) -> Climb:
    """Score candidates, and tell how to raise the score.

    Args:
        site: Statistics of the site.
        candidates: Candidate activations c [n, K].
        reduce: Sums over the gang.

    Returns:
        Their gains, and the derivative of what they climb.
    """
    gain = score_gain(site, candidates, reduce=reduce)
    cotangent = gain_cotangent(site, candidates, gain)
    if site.roots is None:
        return Climb(gain, gain.exact, cotangent)
    curvature = _step_curvature(site, site.roots, candidates, gain, reduce)
    height = _height(gain, curvature)
    steeper = _measured_cotangent(site, site.roots, candidates, gain, height, reduce)
    # On the floor of the curvature both gains are one, and so are their slopes.
    return Climb(gain, height, torch.where(curvature > gain.exact, steeper, cotangent))


def measured_gain(
    site: Site, candidates: Tensor, gain: Gain, *, reduce: Reduce
) -> Tensor:
    """Score candidates by the curvature of their own steps, where positions are many.

    Args:
        site: Statistics of the site.
        candidates: Candidate activations c [n, K].
        gain: What ``score_gain`` gave for them.
        reduce: Sums over the gang.

    Returns:
        [K], at most the exact gain; just that for a dense layer.
    """
    if site.roots is None:
        return gain.exact
    return _height(gain, _step_curvature(site, site.roots, candidates, gain, reduce))


def _step_curvature(
    site: Site, roots: Tensor, candidates: Tensor, gain: Gain, reduce: Reduce
) -> Tensor:
    """Measure the curvature along the candidates' steps [K].

    By the Kronecker factors it is the exact gain, like the slope: the least there is.
    """
    c_r = candidates - site.explained(gain.projection)
    return measured_curvature(site, (roots @ gain.direction) * c_r, gain.exact, reduce)


def _height(gain: Gain, curvature: Tensor) -> Tensor:
    return gain.exact.square() / curvature.clamp_min(_tiny(curvature))


def _measured_cotangent(
    site: Site,
    roots: Tensor,
    candidates: Tensor,
    gain: Gain,
    height: Tensor,
    reduce: Reduce,
) -> Tensor:
    """Differentiate N²/K, which is the height, by the activations [n, K]."""
    terms = site.terms
    d = gain.direction * gain.schur
    ratio = height / (gain.exact * gain.schur).clamp_min(_tiny(height))  # N / K
    c_r = candidates - site.explained(gain.projection)
    pull = roots @ d
    examples = site.weight * terms.positions / terms.group
    e = (
        square_of_sums_slope(pull * c_r, group=terms.group, positions=terms.positions)
        / examples
    )
    v = e * pull
    y, cross = reduce([roots.T @ (e * c_r), site.cross(v)])
    through_step = torch.cholesky_solve(y, site.chol_G)
    explained = site.explained(site.solve(cross / site.weight))
    rise = site.residual @ (4 * ratio * d - ratio.square() * through_step)
    fall = v - explained
    return rise / site.weight - ratio.square() * fall


def _tiny(x: Tensor) -> float:
    return torch.finfo(x.dtype).tiny

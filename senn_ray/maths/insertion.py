"""The score gain of inserting a layer: what its nonlinearity adds to a linear layer.

An inserted layer h = B u + s is linear at first (σ is the identity), and everything
linear is there already. New are the directions φ of the nonlinearity's parameters, one
or two for every neuron j, each with the fixed output direction V_j, the neuron's
fan-out. In the layer's Kronecker approximation (residual gradient g_r, residual
features φ_r, damped G)

    b_jφ = V_jᵀ E[g_r φ_j],   M_jφ,kψ = (VᵀGV)_jk E[φ_r ψ_r],   Δη = bᵀ M⁻¹ b

So it is scored by the parameters that are really installed, in the units of a neuron's
score gain. Letting the output directions free would score 2n whole neurons instead.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.maths.heldout import Heldout, judge
from senn_ray.maths.kronecker import damped_cholesky
from senn_ray.maths.score import Reduce, Site


@dataclass(frozen=True)
class LayerGain:
    """The score gain of an inserted layer, and the step that promises it."""

    exact: float
    """Δη."""
    step: Tensor
    """M⁻¹b [m]: the natural step of the new parameters, negated."""
    projection: Tensor
    """A⁻¹E[a φᵀ] [n_in + 1, m]: what the present inputs explain."""


def layer_gain(site: Site, features: Tensor, V: Tensor, *, reduce: Reduce) -> LayerGain:
    """Score an inserted layer.

    Args:
        site: Statistics of the linear layer that is split.
        features: φ [n, m] on the site's examples.
        V: The output direction [n_out, m] of every feature.
        reduce: Sums over the gang.

    Returns:
        The gain, in units of twice the loss.
    """
    P, cross, power = reduce([
        site.residual.T @ features,
        site.activations.T @ features,
        features.T @ features,
    ])
    P, cross, power = P / site.weight, cross / site.weight, power / site.weight
    b = (V * P).sum(0)
    if site.terms.metric == "gradient":
        return LayerGain((b @ b).item(), b, torch.zeros_like(cross))
    projection = torch.cholesky_solve(cross, site.chol_A)
    schur = power - cross.T @ projection
    M = _metric(site, schur, V)
    # Features of one neuron may be almost alike: damp as far as rounding needs it.
    jitter = 100 * torch.finfo(M.dtype).eps * M.diagonal().mean()
    step = torch.cholesky_solve(b[:, None], damped_cholesky(M, jitter))[:, 0]
    return LayerGain(exact=(b @ step).item(), step=step, projection=projection)


def heldout_layer_gain(
    site: Site, features: Tensor, V: Tensor, proposal: LayerGain, *, reduce: Reduce
) -> Heldout:
    """Measure an inserted layer on held-out examples; see ``heldout``.

    Args:
        site: Statistics of the linear layer on the held-out examples.
        features: φ [n, m] there.
        V: The output direction [n_out, m] of every feature.
        proposal: The score gain on the optimisation examples.
        reduce: Sums over the gang.

    Returns:
        The held-out gain and its significance.
    """
    residual = features - site.activations @ proposal.projection
    effect = ((site.residual @ V) * residual) @ proposal.step

    def curvature(power: Tensor) -> Tensor:
        schur = power.view(V.shape[1], V.shape[1])
        return proposal.step @ _metric(site, schur, V) @ proposal.step

    ceiling = layer_gain(site, features, V, reduce=reduce).exact
    return judge(site, effect, residual, curvature, ceiling=ceiling, reduce=reduce)


def _metric(site: Site, schur: Tensor, V: Tensor) -> Tensor:
    """Return M: the damped residual moment, seen through the fan-out and G."""
    if site.terms.metric == "gradient":
        return torch.eye(len(schur)).to(schur)
    root = site.chol_G.T @ V
    eye = torch.eye(len(schur)).to(schur)
    return (root.T @ root) * (schur + site.terms.damping * eye)

"""The score gain of candidate neurons: what the paper calls Δη.

A neuron that is added to a layer with activations a (its fan-out weights are zero) adds
the column c(x) to the inputs of the next linear layer. What it can do that the present
inputs cannot is in the residuals (Mitchell et al. 2023, Theorem 3.2):

    g_r = g - dW A⁻¹ a            residual gradient, once per site
    c_r = c - E[c aᵀ] A⁻¹ a       residual activation
    P   = E[g_r c],   V = E[c c] - E[c aᵀ] A⁻¹ E[a c]   (the Schur complement)

    Δη = Pᵀ G⁻¹ P / V  >=  Pᵀ G⁻¹ P / E[c c]

One damping per decision: the same damping stands in A, in V and in E[c c], and the same
damped G everywhere, or the bound does not hold.

A layer that acts at many positions of an example (a convolution) has a row for each;
moments are sums over positions and means over examples, and G is a mean over both (KFC:
Grosse & Martens 2016).

The control ``gradient`` (GradMax: Evci et al. 2022) scores by the plain gradient of the
new weights: the same formulas with the identity for the Fisher, so that nothing knows
what the present inputs do already.

What is added joins a site as its residual c_r. The joint damped moment of [a, c] is then
block diagonal, A and V (block elimination, without any rounding of its own), so nothing
is factorised again: with w = E[c_r c̃] for another candidate c̃

    g_r ← g_r - c_r Pᵀ / V,   P̃ ← P̃ - P w / V,   Ṽ ← Ṽ - w² / V
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from senn_ray.maths.kronecker import damped_cholesky, expansion_score
from senn_ray.maths.steps import square_of_sums, step_curvature

Reduce = Callable[[list[Tensor]], list[Tensor]]
"""Sums tensors over the gang; the identity in a gang of one."""

Metric = Literal["natural", "gradient"]


@dataclass(frozen=True)
class Terms:
    """On what terms sites are measured; the same for a whole decision."""

    damping: float
    """Of A and of everything added to it, absolute."""
    positions: int = 1
    """Where the layer acts, in one example."""
    group: int = 1
    """Rows of one example: those of the positions that were looked at."""
    metric: Metric = "natural"
    """``gradient`` wants the identity for G."""


@dataclass(frozen=True)
class Site:
    """Statistics of one place that may grow, on one set of examples.

    The per-example tensors hold this replica's examples only; the moments are means
    over the examples of the whole gang.
    """

    activations: Tensor
    """a [n, n_in + 1], the constant 1 last."""
    gradients: Tensor
    """g [n, n_out], of the next layer's outputs."""
    residual: Tensor
    """g_r [n, n_out]."""
    weight: float
    """Examples in the whole gang: rows over the positions of an example."""
    dW: Tensor  # noqa: N815 — the paper's letter
    """E[g aᵀ] [n_out, n_in + 1 + m], what was added last."""
    chol_A: Tensor  # noqa: N815
    chol_G: Tensor  # noqa: N815
    terms: Terms
    current_score: float
    """η of the present parameters."""
    added: Tensor
    """c_r [n, m] of what was added to the layer, each after those before it."""
    schur: Tensor
    """V [m] of each of them, damped."""
    roots: Tensor | None = None
    """j [n, n_out] with E[j jᵀ] = JᵀHJ, damped: where positions are not independent."""

    def cross(self, values: Tensor) -> Tensor:
        """Sum [n_in + 1 + m, K] over the rows: inputs, and what was added, by values."""
        return torch.cat([self.activations.T @ values, self.added.T @ values])

    def solve(self, cross: Tensor) -> Tensor:
        """Apply the inverse of the damped moment of all inputs to [n_in + 1 + m, K]."""
        present, added = cross.split([len(self.chol_A), len(self.schur)])
        solved = torch.cholesky_solve(present, self.chol_A)
        return torch.cat([solved, added / self.schur[:, None]])

    def explained(self, projection: Tensor) -> Tensor:
        """Combine the inputs, and what was added, by [n_in + 1 + m, ...]."""
        present, added = projection.split([len(self.chol_A), len(self.schur)])
        return self.activations @ present + self.added @ added


def measure_site(
    activations: Tensor,
    gradients: Tensor,
    chol_G: Tensor,
    *,
    terms: Terms,
    reduce: Reduce,
    roots: Tensor | None = None,
) -> Site:
    """Measure a site: moments, residual gradient and current score.

    Args:
        activations: a [n, n_in + 1], the constant 1 last.
        gradients: Per-example g [n, n_out] of the next layer's outputs.
        chol_G: Cholesky factor of the damped G [n_out, n_out] of the whole gang.
        terms: On what terms.
        reduce: Sums over the gang.
        roots: j [n, n_out], if steps are to be measured without Kronecker factors.

    Returns:
        The site's statistics.
    """
    count = torch.full((1,), len(activations) / terms.positions).to(activations)
    A, dW, count = reduce([
        activations.T @ activations,
        gradients.T @ activations,
        count,
    ])
    weight = count.item() or 1.0  # Sums over no examples at all are 0, not 0/0.
    A, dW = A / weight, dW / weight
    if terms.metric == "gradient":
        chol_A, residual = torch.eye(len(A)).to(A), gradients
    else:
        chol_A = damped_cholesky(A, terms.damping)
        residual = gradients - activations @ torch.cholesky_solve(dW.T, chol_A)
    site = Site(
        activations=activations,
        gradients=gradients,
        residual=residual,
        weight=weight,
        dW=dW,
        chol_A=chol_A,
        chol_G=chol_G,
        terms=terms,
        current_score=expansion_score(dW, chol_A, chol_G).item(),
        added=activations[:, :0],
        schur=A[0, :0],
        roots=roots,
    )
    if roots is None:
        return site
    return replace(site, current_score=_measured_score(site, roots, reduce))


def _measured_score(site: Site, roots: Tensor, reduce: Reduce) -> float:
    """Score the natural step of the present parameters by its own curvature.

    The slope along the step is η, and so is its curvature by the Kronecker factors.
    """
    step = torch.cholesky_solve(site.solve(site.dW.T).T.contiguous(), site.chol_G)
    score = (site.dW * step).sum()
    q = (roots * site.explained(step.T)).sum(1)
    curvature = measured_curvature(site, q, score, reduce)
    return (score.square() / curvature.clamp_min(torch.finfo(score.dtype).tiny)).item()


def measured_curvature(site: Site, q: Tensor, least: Tensor, reduce: Reduce) -> Tensor:
    """Measure the curvature of the loss along steps, at least its Kronecker estimate.

    Args:
        site: Statistics of the site, with roots.
        q: The roots times what the steps do to the layer's outputs [n, ...].
        least: The curvatures by the Kronecker factors [...].
        reduce: Sums over the gang.
    """
    terms = site.terms
    (sums,) = reduce([square_of_sums(q, group=terms.group, positions=terms.positions)])
    examples = site.weight * terms.positions / terms.group
    return step_curvature(sums, examples, least)


@dataclass(frozen=True)
class Gain:
    """Score gains of K candidates, each on its own, and what they are made of."""

    exact: Tensor
    """Δη [K]."""
    P: Tensor
    """E[g_r c] [n_out, K]."""
    direction: Tensor
    """G⁻¹P / V [n_out, K]: the natural step of the new fan-out weights, negated."""
    schur: Tensor
    """V [K], damped."""
    projection: Tensor
    """A⁻¹E[a c] [n_in + 1 + m, K]: what the inputs, and what was added, explain of c."""
    saturation: Tensor
    """Δη/V [K]: how the gain falls as c grows; zero under the gradient metric."""


def score_gain(site: Site, candidates: Tensor, *, reduce: Reduce) -> Gain:
    """Score candidate neurons.

    Args:
        site: Statistics of the site.
        candidates: Candidate activations c [n, K] on the site's examples.
        reduce: Sums over the gang.

    Returns:
        The gains, in units of twice the loss.
    """
    P, cross, power = reduce([
        site.residual.T @ candidates,
        site.cross(candidates),
        candidates.square().sum(0),
    ])
    P, cross, power = P / site.weight, cross / site.weight, power / site.weight
    if site.terms.metric == "gradient":
        return _gradient_gain(P, cross)
    projection = site.solve(cross)
    # One residual is enough: E[g_r c] = E[g c_r] exactly, also under damping, because
    # both subtract the same E[g aᵀ](A + damping)⁻¹E[a c] from E[g c].
    schur = power + site.terms.damping - (cross * projection).sum(0)
    return _natural_gain(site, P, schur, projection)


@dataclass(frozen=True)
class Scored:
    """Candidates of a site, with what the additions to it leave of them."""

    values: Tensor
    """c [n, K]."""
    residual: Tensor
    """c_r [n, K]."""
    gain: Gain


def score(site: Site, candidates: Tensor, *, reduce: Reduce) -> Scored:
    """Score candidates c [n, K] of which several may be added."""
    gain = score_gain(site, candidates, reduce=reduce)
    return Scored(candidates, candidates - site.explained(gain.projection), gain)


def follow(site: Site, scored: Scored, *, reduce: Reduce) -> Scored:
    """Score candidates again after additions to their site, by what these change.

    Args:
        site: Statistics of the site after the additions.
        scored: What was known before them.
        reduce: Sums over the gang.

    Returns:
        What ``score`` gives, for products with the new columns alone.
    """
    gain = scored.gain
    known = len(gain.projection)
    if site.terms.metric == "gradient" or known == site.dW.shape[1]:
        return scored
    new = slice(known - len(site.chol_A), None)
    (cross,) = reduce([site.added[:, new].T @ scored.values])
    cross = cross / site.weight
    share = cross / site.schur[new, None]
    gain = _natural_gain(
        site,
        gain.P - site.dW[:, known:] @ share,
        gain.schur - (cross * share).sum(0),
        torch.cat([gain.projection, share]),
    )
    return Scored(scored.values, scored.residual - site.added[:, new] @ share, gain)


def _natural_gain(site: Site, P: Tensor, schur: Tensor, projection: Tensor) -> Gain:
    schur = schur.clamp_min(site.terms.damping)
    whitened = torch.cholesky_solve(P, site.chol_G)
    numerator = (P * whitened).sum(0)
    return Gain(
        exact=numerator / schur,
        P=P,
        direction=whitened / schur,
        schur=schur,
        projection=projection,
        saturation=numerator / schur.square(),
    )


def _gradient_gain(P: Tensor, cross: Tensor) -> Gain:
    power = P.square().sum(0)
    one, zero = torch.ones_like(power), torch.zeros_like(power)
    return Gain(
        exact=power,
        P=P,
        direction=P,
        schur=one,
        projection=torch.zeros_like(cross),
        saturation=zero,
    )


def gain_cotangent(site: Site, candidates: Tensor, gain: Gain) -> Tensor:
    """Differentiate each candidate's exact gain with respect to its activations.

    dΔη/dc(n) = (2/N) (g_r(n)ᵀ d - Δη/V c_r(n)),  d = G⁻¹P / V

    Args:
        site: Statistics of the site.
        candidates: Candidate activations c [n, K].
        gain: What ``score_gain`` gave for them.

    Returns:
        The derivative [n, K], of this replica's examples.
    """
    residual_candidates = candidates - site.explained(gain.projection)
    pull = site.residual @ gain.direction
    return (2 / site.weight) * (pull - residual_candidates * gain.saturation)


def extend_site(site: Site, scored: Scored, index: int, *, reduce: Reduce) -> Site:
    """Measure the site again as if one candidate had been added to it.

    The function has not changed, so neither have g and G.

    Args:
        site: Statistics before the addition.
        scored: Candidates there.
        index: Which of them is added.
        reduce: Sums over the gang.
    """
    gain = scored.gain
    current_score = site.current_score + gain.exact[index].item()
    if site.terms.metric == "gradient":
        return replace(site, current_score=current_score)
    c_r = scored.residual[:, index]
    P, schur = gain.P[:, index], gain.schur[index]
    larger = replace(
        site,
        residual=torch.addr(site.residual, c_r, P / schur, alpha=-1),
        dW=torch.cat([site.dW, P[:, None]], 1),
        current_score=current_score,
        added=torch.cat([site.added, c_r[:, None]], 1),
        schur=torch.cat([site.schur, schur[None]]),
    )
    if site.roots is None:
        return larger
    return replace(larger, current_score=_measured_score(larger, site.roots, reduce))

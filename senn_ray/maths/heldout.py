"""The held-out gain: what a proposal is worth on examples it was not optimised for.

The best of many optimised candidates looks good by luck. So the proposal and its step
are fixed on one half of the decision examples (the fan-out direction d = G⁻¹P/V and the
projection of c on the present inputs), and only the length of the step is left free on
the other half. With h(n) = (g_r(n)ᵀd) c_r(n), c_r = c - aᵀ·projection:

    heldout_gain = E[h]² / (dᵀG d · E[c_r²])   where E[h] > 0, else 0
    heldout_z    = E[h] / (std(h) / √N)

Noise has E[h] = 0: it passes z >= 2 in 2.3 % of checks, however many candidates were
searched, because the search never saw these examples.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.maths.score import Gain, Reduce, Site, score_gain


@dataclass(frozen=True)
class Heldout:
    """A proposal's verdict on held-out examples."""

    gain: float
    """In units of twice the loss; at most the exact score gain there."""
    z: float
    """The mean effect over its standard error."""


def heldout_gain(
    site: Site, candidate: Tensor, proposal: Gain, index: int, *, reduce: Reduce
) -> Heldout:
    """Measure a proposal on held-out examples.

    Args:
        site: Statistics of the site on the held-out examples.
        candidate: The proposal's activations c [n] there.
        proposal: Score gains on the optimisation examples.
        index: Which of their candidates is proposed.
        reduce: Sums over the gang.

    Returns:
        The held-out gain and its significance.
    """
    d = proposal.direction[:, index]
    c_r = candidate - site.activations @ proposal.projection[:, index]
    h = (site.residual @ d) * c_r
    sums = reduce([torch.stack([h.sum(), h.square().sum(), c_r.square().sum()])])[0]
    mean, square, power = (sums / site.weight).tolist()
    if mean <= 0:
        return Heldout(gain=0.0, z=min(mean, 0.0))
    deviation = math.sqrt(max(square - mean**2, 0.0) / site.weight)
    curvature = (site.chol_G.T @ d).square().sum().item() * (power + site.damping)
    exact = score_gain(site, candidate[:, None], reduce=reduce).exact.item()
    # E[h] uses the other half's projection, so the ratio could exceed the exact gain by
    # the damping; capped, accepted gains add up to no more than the score ceiling.
    gain = min(mean**2 / max(curvature, 1e-30), exact)
    return Heldout(gain=gain, z=mean / max(deviation, 1e-30))


def most_additions(
    ceiling: float, *, relative_threshold: float, absolute_threshold: float
) -> float:
    """Bound the number of additions at one point of the parameters.

    N_s < 1 + ln(λ/α) / ln(1 + τ): the first accepted addition lifts the score above α,
    every further one multiplies it by more than 1 + τ, and it stays below λ (Mitchell
    et al. 2023, 3.2).

    Args:
        ceiling: λ, the score that no inputs can exceed.
        relative_threshold: τ.
        absolute_threshold: α, in units of the score.

    Returns:
        The bound; infinite without a relative threshold.
    """
    if relative_threshold == 0:
        return math.inf
    ratio = max(ceiling / absolute_threshold, 1.0)
    return 1 + math.log(ratio) / math.log1p(relative_threshold)

"""The held-out gain: what a proposal is worth on examples it was not optimised for.

The best of many optimised candidates looks good by luck. So the proposal and its step
are fixed on one half of the decision examples (the fan-out direction d = G⁻¹P/V and the
projection of c on the present inputs), and only the length of the step is left free on
the other half. With h(n) = (g_r(n)ᵀd) c_r(n), c_r = c - aᵀ·projection:

    heldout_gain = E[h]² / (dᵀG d · E[c_r²])   where E[h] > 0, else 0
    heldout_z    = E[h] / (std(h) / √N)

Where a layer acts at many positions, the curvature of the step is measured (``steps``).

Noise has E[h] = 0: it passes z >= 2 in 2.3 % of checks, however many candidates were
searched, because the search never saw these examples.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.maths.score import (
    Reduce,
    Scored,
    Site,
    extend_site,
    follow,
    measured_curvature,
    score,
)


@dataclass(frozen=True)
class Heldout:
    """A proposal's verdict on held-out examples."""

    gain: float
    """In units of twice the loss; at most the exact score gain there."""
    z: float
    """The mean effect over its standard error."""


@dataclass(frozen=True)
class Halves:
    """A site on the examples that are searched on, and on those held out."""

    search: Site
    heldout: Site
    carried: Tensor
    """c_r [n, m] of what was added, with the projections of the search half, on the
    held-out examples."""


@dataclass(frozen=True)
class Tried:
    """Candidates on both parts of the examples."""

    search: Scored
    heldout: Scored
    carried: Tensor
    """c_r [n, K] with the projections of the search half, on the held-out examples."""


def halves_of(search: Site, heldout: Site) -> Halves:
    """Put the two parts of a site together, before anything is added to it."""
    return Halves(search, heldout, carried=heldout.added)


def tried(halves: Halves, search: Tensor, heldout: Tensor, *, reduce: Reduce) -> Tried:
    """Score candidates on both parts of the examples.

    Args:
        halves: Statistics of the site.
        search: Candidate activations c [n, K] on the examples searched on.
        heldout: The same on those held out.
        reduce: Sums over the gang.
    """
    scored = score(halves.search, search, reduce=reduce)
    present, added = scored.gain.projection.tensor_split([len(halves.search.chol_A)])
    # Of the gradient metric nothing is explained, so nothing is carried either.
    explained = halves.heldout.activations @ present + halves.carried @ added
    own = score(halves.heldout, heldout, reduce=reduce)
    return Tried(scored, own, heldout - explained)


def followed(halves: Halves, before: Tried, *, reduce: Reduce) -> Tried:
    """Score candidates again after additions to their site; see ``score.follow``."""
    search = follow(halves.search, before.search, reduce=reduce)
    share = search.gain.projection[len(before.search.gain.projection) :]
    if not len(share):
        return before
    new = halves.carried[:, -len(share) :]
    own = follow(halves.heldout, before.heldout, reduce=reduce)
    return Tried(search, own, before.carried - new @ share)


def extended(halves: Halves, of: Tried, index: int, *, reduce: Reduce) -> Halves:
    """Add one of the candidates to their site."""
    search = extend_site(halves.search, of.search, index, reduce=reduce)
    heldout = extend_site(halves.heldout, of.heldout, index, reduce=reduce)
    if halves.search.terms.metric == "gradient":
        return Halves(search, heldout, halves.carried)
    column = of.carried[:, index, None]
    return Halves(search, heldout, torch.cat([halves.carried, column], 1))


def heldout_gain(halves: Halves, of: Tried, index: int, *, reduce: Reduce) -> Heldout:
    """Measure a proposal on held-out examples.

    Args:
        halves: Statistics of the site on both parts of the examples.
        of: Candidates.
        index: Which of them is proposed.
        reduce: Sums over the gang.

    Returns:
        The held-out gain and its significance.
    """
    site, c_r = halves.heldout, of.carried[:, index]
    d = of.search.gain.direction[:, index]
    exact = of.heldout.gain.exact[index].item()
    length = (site.chol_G.T @ d).square().sum()

    def curvature(power: Tensor) -> Tensor:
        if site.terms.metric == "gradient":
            return length
        kronecker = length * (power + site.terms.damping)
        if site.roots is None:
            return kronecker
        return measured_curvature(site, (site.roots @ d) * c_r, kronecker, reduce)

    effect = (site.residual @ d) * c_r
    return judge(site, effect, c_r[:, None], curvature, ceiling=exact, reduce=reduce)


def judge(
    site: Site,
    effect: Tensor,
    features: Tensor,
    curvature: Callable[[Tensor], Tensor],
    *,
    ceiling: float,
    reduce: Reduce,
) -> Heldout:
    """Measure a step of fixed direction: how far it goes, and how surely.

    Args:
        site: Statistics of the site on the held-out examples.
        effect: h [rows]: how fast the step lowers the loss, to first order.
        features: The residual features [rows, m] that the step is made of.
        curvature: Maps their second moment [m, m] (a scalar for m = 1) to the
            curvature of the loss along the step.
        ceiling: The most that any step could gain here.
        reduce: Sums over the gang.

    Returns:
        The held-out gain and its significance.
    """
    # Rows of one example are not independent of each other: examples are.
    h = effect.view(-1, site.terms.group).sum(1)
    sums = torch.stack([h.sum(), h.square().sum(), h.new_tensor(float(len(h)))])
    sums, power = reduce([sums, (features.T @ features).squeeze()])
    total, square, count = sums.tolist()
    count = max(count, 1.0)
    mean = total / count
    error = math.sqrt(max(square / count - mean**2, 0.0) / count)
    z = mean / max(error, 1e-30)
    if mean <= 0:
        return Heldout(gain=0.0, z=z)
    # E[h] uses the other half's projection, so the ratio could exceed the exact gain by
    # the damping; capped, accepted gains add up to no more than the score ceiling.
    length = curvature(power / site.weight).item()
    gain = min((total / site.weight) ** 2 / max(length, 1e-30), ceiling)
    return Heldout(gain=gain, z=z)


def agreed(verdicts: Sequence[Heldout]) -> Heldout:
    """Put together what several divisions of the same examples say of one question.

    Each of D divisions has searched on its own part and judged on the rest. Where there
    is nothing to find, a verdict is a sum over the pairs of an example searched on and
    one held out, of which two random halves share a half: their z correlate by 1/2 (by
    less, if the search is no linear function of its examples). So the mean of D has the
    variance (D + 1) / 2D, and

        z = Σ z_d / √(D (D + 1) / 2)

    Returns:
        The mean gain, and its significance.
    """
    count = len(verdicts)
    return Heldout(
        gain=sum(v.gain for v in verdicts) / count,
        z=sum(v.z for v in verdicts) / math.sqrt(count * (count + 1) / 2),
    )

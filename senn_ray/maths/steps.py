"""The curvature of the loss along one step of a layer that acts at many positions.

The Kronecker factors of a convolution take its positions for independent (Grosse &
Martens 2016). They are not: behind a mean over the image all have the same gradient,
and neighbours see almost the same. The curvature of a step D is then up to as many
times larger as there are positions. With roots j of it (E[j jᵀ] = JᵀHJ, one random j
for all positions of an example)

    DᵀFD = E[(Σ_t j_tᵀ D a_t)²]

is unbiased without any factorisation. From s of T positions, the pairs of equal and of
different positions are scaled on their own.
"""

import torch
from torch import Tensor


def square_of_sums(q: Tensor, *, group: int, positions: int) -> Tensor:
    """Estimate (Σ_t q_t)² over all positions of an example, summed over examples.

    Args:
        q: Values [rows, ...] at ``group`` positions of each example.
        group: Rows of one example.
        positions: Positions of one example.

    Returns:
        [2, ...]: what equal and what different positions contribute. The second may be
        negative.
    """
    own = q.square().sum(0)
    total = q.view(-1, group, *q.shape[1:]).sum(1).square().sum(0)
    share = positions / group
    pairs = share * (positions - 1) / max(group - 1, 1)
    return torch.stack([share * own, pairs * (total - own)])


def square_of_sums_slope(q: Tensor, *, group: int, positions: int) -> Tensor:
    """Differentiate the sum of what ``square_of_sums`` returns with respect to q.

    Args:
        q: Values [rows, ...].
        group: Rows of one example.
        positions: Positions of one example.
    """
    share = positions / group
    pairs = share * (positions - 1) / max(group - 1, 1)
    rows = q.view(-1, group, *q.shape[1:])
    slope = (share - pairs) * rows + pairs * rows.sum(1, keepdim=True)
    return 2 * slope.view_as(q)


def step_curvature(sums: Tensor, examples: float, least: Tensor) -> Tensor:
    """Return the curvature of steps, at least what the Kronecker factors say.

    Args:
        sums: ``square_of_sums`` over the gang [2, ...].
        examples: Of the gang.
        least: By the Kronecker factors [...].
    """
    return torch.maximum(sums.sum(0) / examples, least)

"""Sharing work over a gang: who does what, where dividing the examples is dearer.

Candidates climb for ten steps, and each step of a gang that has divided the examples
takes two messages. Dividing the candidates instead takes two messages in all: one that
gives every replica all rows of the search half, one that brings the candidates home.
"""

import dataclasses

import torch
from torch import Tensor

from senn_ray.maths.proposals import ascend
from senn_ray.maths.score import Site
from senn_ray.training.reducer import Reducer
from senn_ray.training.run_state import RunState

LATENCY_S, BYTES_PER_S = 5e-4, 1e9
"""A message between two nodes of a usual cluster: 10 Gbit/s Ethernet."""


def is_cheaper(floats: int, messages: int) -> bool:
    """Tell whether one large message costs less than many small ones.

    Args:
        floats: Numbers in the large one.
        messages: How many small ones it saves.
    """
    return 4 * floats / BYTES_PER_S < messages * LATENCY_S


def gather(reducer: Reducer, own: Tensor) -> Tensor:
    """Put the replicas' rows together, in rank order, the same bits on all of them.

    Args:
        reducer: The gang.
        own: This replica's rows [n, m]; others may have more or fewer.

    Returns:
        All rows.
    """
    counts = own.new_zeros(reducer.size)
    counts[reducer.rank] = len(own)
    rows = [int(count) for count in reducer.sum(counts).tolist()]
    start = sum(rows[: reducer.rank])
    whole = own.new_zeros(sum(rows), *own.shape[1:])
    whole[start : start + len(own)] = own
    return reducer.sum(whole)


def climb(
    run: RunState, site: Site, candidates: Tensor, coordinates: Tensor, *, steps: int
) -> Tensor:
    """Let candidates ascend, on all examples together or a part of them on each replica.

    Args:
        run: Whose gang and nonlinearity.
        site: The site on this replica's rows of the search half.
        candidates: Where to start [K, r + 1], the same on all replicas.
        coordinates: x̃ [n, r] of the same rows.
        steps: Of ascent.

    Returns:
        The candidates where they are then, the same on all replicas.
    """
    fresh, reducer = run.net.family.fresh, run.reducer
    width = site.activations.shape[1] + site.residual.shape[1] + coordinates.shape[1]
    if site.roots is not None:
        width += site.roots.shape[1]
    rows = round(site.weight * site.terms.positions)
    share = run.spec.growth.share
    if share == "auto":
        cheaper = is_cheaper(rows * width, messages=2 * (steps + 1))
        share = "candidates" if cheaper else "examples"
    if share == "examples" or reducer.size == 1 or len(candidates) < reducer.size:
        return ascend(
            site, candidates, coordinates, fresh, steps=steps, reduce=run.reduce
        )[0]
    parts = [site.activations, site.residual, coordinates]
    if site.roots is not None:
        parts.append(site.roots)
    whole = gather(reducer, torch.cat(parts, 1))
    a, residual, x, *roots = whole.split([part.shape[1] for part in parts], 1)
    full = dataclasses.replace(
        site, activations=a, residual=residual, roots=roots[0] if roots else None
    )
    own = candidates.tensor_split(reducer.size)[reducer.rank]
    own, _ = ascend(full, own, x, fresh, steps=steps, reduce=lambda sums: sums)
    return gather(reducer, own)

"""Capture: what a network does on some examples, layer by layer."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from senn_ray.maths.losses import (
    Task,
    curvature_root,
    loss,
    output_curvature,
    output_gradient,
)
from senn_ray.nets.mlp import MLP
from senn_ray.nets.network import with_constant


@dataclass(frozen=True)
class Layer:
    """One linear layer on n examples, at ``positions`` places of each.

    A dense layer acts once for every example. A convolution acts at many positions; the
    rows are those of some of them, one example after the other (KFC: Grosse & Martens
    2016).
    """

    inputs: Tensor
    """a [rows, n_in + 1], the constant 1 last."""
    gradients: Tensor
    """g [rows, n_out]: each example's loss gradient with respect to the outputs."""
    curvature: Tensor
    """Σ Jᵀ H J [n_out, n_out]: the Gauss-Newton factor, summed over the rows."""
    ridge: Tensor
    """Σ Jᵀ J [n_out, n_out]: what one unit of damping of H adds to it."""
    positions: int = 1
    """Where the layer acts, in one example."""
    group: int = 1
    """Rows of one example: those of the positions that were looked at."""
    roots: tuple[Tensor, Tensor] | None = None
    """j [rows, n_out] with E[j jᵀ] = JᵀHJ, and of JᵀJ; where positions are many."""


@dataclass(frozen=True)
class Capture:
    """A network on n examples."""

    loss: Tensor
    """Loss summed over the examples, a scalar."""
    power: Tensor
    """|g|² at the network's outputs, summed over the examples, a scalar."""
    layers: list[Layer]
    """The linear layers from ``first`` on."""


def capture(  # noqa: PLR0913 - the last three have defaults
    net: MLP,
    x: Tensor,
    y: Tensor,
    task: Task,
    *,
    first: int = 0,
    probes: Tensor | None = None,
    with_ridge: bool = True,
) -> Capture:
    """Measure every linear layer's inputs, output gradients and Gauss-Newton factor.

    The factor of the last layer is in closed form. Those of the layers before it take
    one backward pass per output, or, estimated from probes, two.

    Args:
        net: The network; its parameters get no gradients.
        x: Features [n, n_in].
        y: Targets.
        task: Which loss.
        first: The first layer to measure; those before it cost no backward passes.
        probes: Random signs [n, 2, n_out] to estimate the factors with, independent
            for every example: E[(JᵀBξ)(JᵀBξ)ᵀ] = JᵀHJ with H = BBᵀ.
        with_ridge: Measure Σ JᵀJ of the layers before the last, at the same price.

    Returns:
        The captured layers, first layer first.
    """
    weights = net.weights
    with torch.enable_grad():
        inputs, outputs = net.trace(x.detach())
        result = outputs[-1][:, : len(weights[-1])]
        last = result.detach()
        gradient = output_gradient(last, y, task)
        below = outputs[first:-1]
        gradients = [*pull_back(result, below, gradient), gradient]
        curvatures, ridges = pull_back_curvature(
            result, below, task, probes, with_ridge=with_ridge
        )
    curvatures.append(output_curvature(last, task))
    ridges.append(len(x) * torch.eye(last.shape[1]).to(last))
    layers = [
        Layer(
            inputs=with_constant(a[:, : W.shape[1] - 1].detach()),
            gradients=g[:, : len(W)],
            curvature=c[: len(W), : len(W)],
            ridge=r[: len(W), : len(W)],
        )
        for W, a, g, c, r in zip(
            weights[first:], inputs[first:], gradients, curvatures, ridges, strict=True
        )
    ]
    return Capture(loss(last, y, task) * len(x), gradient.square().sum(), layers)


def merge(parts: list[Capture]) -> Capture:
    """Join captures of the same layers on different examples, in order."""
    layers = [
        replace(
            same[0],
            inputs=torch.cat([layer.inputs for layer in same]),
            gradients=torch.cat([layer.gradients for layer in same]),
            curvature=torch.stack([layer.curvature for layer in same]).sum(0),
            ridge=torch.stack([layer.ridge for layer in same]).sum(0),
            roots=_merge_roots([layer.roots for layer in same]),
        )
        for same in zip(*(part.layers for part in parts), strict=True)
    ]
    loss, power = (
        torch.stack([getattr(part, f.name) for part in parts]).sum()
        for f in fields(Capture)[:2]
    )
    return Capture(loss, power, layers)


def _merge_roots(
    parts: list[tuple[Tensor, Tensor] | None],
) -> tuple[Tensor, Tensor] | None:
    known = [part for part in parts if part is not None]
    if not known:
        return None
    return torch.cat([a for a, _ in known]), torch.cat([b for _, b in known])


def random_cotangents(result: Tensor, task: Task, probes: Tensor) -> list[Tensor]:
    """Draw one random root of H, and one of the identity, for every example.

    Args:
        result: Outputs [n, n_out].
        task: Which loss.
        probes: Random signs [n, 2, n_out].

    Returns:
        Bξ with BBᵀ = H, and ξ', each [n, n_out].
    """
    signs = probes.to(result)
    root = curvature_root(result.detach(), task)
    return [(root @ signs[:, 0, :, None])[:, :, 0], signs[:, 1]]


def pull_back_curvature(
    result: Tensor,
    hidden: list[Tensor],
    task: Task,
    probes: Tensor | None,
    *,
    with_ridge: bool = True,
) -> tuple[list[Tensor], list[Tensor]]:
    """Sum Jᵀ H J and Jᵀ J over the examples, for tensors [n, m] inside a network.

    Args:
        result: Outputs [n, n_out], with their graph.
        hidden: Tensors on the way to them; of more than two dimensions, the second
            is the one that counts, and the others are summed over.
        task: Which loss.
        probes: Random signs [n, 2, n_out]; exact without.
        with_ridge: Measure the second one; else it is zero.

    Returns:
        Both moments [m, m] of every tensor.
    """
    if not hidden:
        return [], []
    if probes is None:
        root = curvature_root(result.detach(), task)
        eye = torch.eye(root.shape[1]).to(root).expand_as(root)
        cotangents = [list(root.unbind(2)), list(eye.unbind(2))]
    else:
        cotangents = [[c] for c in random_cotangents(result, task, probes)]
    if not with_ridge:
        cotangents[1] = []
    sums: list[list[Tensor]] = []
    for columns in cotangents:
        totals = [z.new_zeros(z.shape[1], z.shape[1]) for z in hidden]
        for column in columns:
            for total, j in zip(totals, pull_back(result, hidden, column), strict=True):
                rows = j.movedim(1, -1).flatten(0, -2)
                total.addmm_(rows.T, rows)
        sums.append(totals)
    return sums[0], sums[1]


def pull_back(
    result: Tensor, hidden: list[Tensor], cotangent: Tensor
) -> tuple[Tensor, ...]:
    """Multiply a cotangent [n, n_out] by the Jacobians to tensors inside a network.

    The outputs [n, n_out] come with their graph; the tensors are on the way to them.
    """
    if not hidden:
        return ()
    # A scalar, because torch imports sympy (seconds) for a given cotangent.
    total = (result * cotangent).sum()
    return torch.autograd.grad(total, hidden, retain_graph=True)

"""Capture: what a network does on some examples, layer by layer."""

from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.maths.losses import (
    Task,
    curvature_root,
    loss,
    output_curvature,
    output_gradient,
)
from senn_ray.nets.mlp import MLP, with_constant


@dataclass(frozen=True)
class Layer:
    """One linear layer on n examples."""

    inputs: Tensor
    """a [n, n_in + 1], the constant 1 last."""
    gradients: Tensor
    """g [n, n_out]: each example's loss gradient with respect to the outputs."""
    curvature: Tensor
    """Σ Jᵀ H J [n_out, n_out]: the Gauss-Newton factor G, summed over examples."""


@dataclass(frozen=True)
class Capture:
    """A network on n examples."""

    loss: Tensor
    """Loss summed over the examples, a scalar."""
    layers: list[Layer]
    """The layers from ``first`` on."""


def capture(net: MLP, x: Tensor, y: Tensor, task: Task, *, first: int = 0) -> Capture:
    """Measure every layer's inputs, output gradients and exact Gauss-Newton factor.

    The factor of the last layer is in closed form; one backward pass per output gives
    those of the layers before it.

    Args:
        net: The network; its parameters get no gradients.
        x: Features [n, n_in].
        y: Targets.
        task: Which loss.
        first: The first layer to measure; those before it cost no backward passes.

    Returns:
        The captured layers, first layer first.
    """
    with torch.enable_grad():
        inputs, outputs = net.trace(x.detach())
        result = outputs[-1][:, : len(net.weights[-1])]
        gradients, curvatures = _backward(result, outputs[first:-1], y, task)
    layers = [
        Layer(
            inputs=with_constant(a[:, : W.shape[1] - 1].detach()),
            gradients=g[:, : len(W)],
            curvature=c[: len(W), : len(W)],
        )
        for W, a, g, c in zip(
            list(net.weights)[first:],
            inputs[first:],
            gradients,
            curvatures,
            strict=True,
        )
    ]
    return Capture(loss(result.detach(), y, task) * len(x), layers)


def merge(parts: list[Capture]) -> Capture:
    """Join captures of one network on different examples.

    Args:
        parts: Captures with the same layers.

    Returns:
        The capture of all examples, in the same order.
    """
    layers = [
        Layer(
            inputs=torch.cat([layer.inputs for layer in same]),
            gradients=torch.cat([layer.gradients for layer in same]),
            curvature=torch.stack([layer.curvature for layer in same]).sum(0),
        )
        for same in zip(*(part.layers for part in parts), strict=True)
    ]
    return Capture(torch.stack([part.loss for part in parts]).sum(), layers)


def _backward(
    result: Tensor, hidden: list[Tensor], y: Tensor, task: Task
) -> tuple[list[Tensor], list[Tensor]]:
    """Return every layer's per-example gradients and summed curvature."""
    last = result.detach()
    gradient = output_gradient(last, y, task)
    curvatures = [z.new_zeros(z.shape[1], z.shape[1]) for z in hidden]
    gradients: list[Tensor] = []
    if hidden:
        gradients += _pull_back(result, hidden, gradient)
        for column in curvature_root(last, task).unbind(2):
            parts = _pull_back(result, hidden, column)
            for total, j in zip(curvatures, parts, strict=True):
                total.addmm_(j.T, j)
    return [*gradients, gradient], [*curvatures, output_curvature(last, task)]


def _pull_back(
    result: Tensor, hidden: list[Tensor], cotangent: Tensor
) -> tuple[Tensor, ...]:
    # A scalar, because torch imports sympy (seconds) for a given cotangent.
    total = (result * cotangent).sum()
    return torch.autograd.grad(total, hidden, retain_graph=True)

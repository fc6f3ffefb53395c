"""Nonlinearities, fixed or with parameters of their own for every neuron.

A layer is inserted without changing the function only where its nonlinearity can be
the identity, exactly; there, what the new parameters can do first is ``directions``.
All families map a padding neuron (parameters zero, pre-activation zero) to zero.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from senn_ray.config import Activation

Shape = Sequence[Tensor]
"""The parameters, each broadcastable to the pre-activations; empty where fixed."""


@dataclass(frozen=True)
class Family:
    """One kind of nonlinearity σ(z; shape)."""

    apply: Callable[[Tensor, Shape], Tensor]
    start: tuple[float, ...] = ()
    """The parameters of a fresh neuron."""
    identity: tuple[float, ...] | None = None
    """The parameters at which σ(z) = z, bit for bit."""
    directions: Callable[[Tensor], list[Tensor]] = lambda _: []
    """dσ/dshape at the identity, without what is affine in z."""

    def fresh(self, z: Tensor) -> Tensor:
        """Apply the nonlinearity of a fresh neuron."""
        return self.apply(z, [z.new_tensor(value) for value in self.start])


def _fixed(function: Callable[[Tensor], Tensor]) -> Family:
    return Family(lambda z, _: function(z))


def _rational(z: Tensor, shape: Shape) -> Tensor:
    """Apply αz + (β + γz)/(1 + z²) (Mitchell et al. 2023; a Padé approximant)."""
    alpha, beta, gamma = shape
    return alpha * z + (beta + gamma * z) / (1 + z * z)


def _bumps(h: Tensor) -> list[Tensor]:
    bump = 1 / (1 + h * h)
    return [bump, h * bump]


def _prelu(z: Tensor, shape: Shape) -> Tensor:
    """Apply max(z, 0) + a min(z, 0) (He et al. 2015)."""
    return z.clamp_min(0) + shape[0] * z.clamp_max(0)


FAMILIES: dict[Activation, Family] = {
    "silu": _fixed(nn.functional.silu),
    "gelu": _fixed(nn.functional.gelu),
    "tanh": _fixed(torch.tanh),
    "relu": _fixed(torch.relu),
    # A fresh rational neuron rises everywhere, like a softplus around zero.
    "rational": Family(
        _rational,
        start=(0.5, -0.5, 0.0),
        identity=(1.0, 0.0, 0.0),
        directions=_bumps,
    ),
    "prelu": Family(
        _prelu,
        start=(0.25,),
        identity=(1.0,),
        directions=lambda h: [h.clamp_max(0)],
    ),
}

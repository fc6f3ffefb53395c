"""Inserting and removing whole hidden layers of a multi-layer perceptron.

A linear layer W becomes two with a nonlinearity between them that is exactly the
identity (Mitchell et al. 2023): with n_in <= n_out

    W [a, 1]  =  (W' B⁻¹) σ(B a + s) + (w₀ - W' B⁻¹ s)

and, where the outputs are fewer, with B on their side: B⁻¹ σ(B W [a, 1] + s) - B⁻¹ s.
So the new layer is as wide as the narrower side. B is well conditioned.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.nets.mlp import MLP
from senn_ray.nets.network import LayerIndex
from senn_ray.nets.surgery import Replace, replace


@dataclass(frozen=True)
class Mix:
    """An invertible map u -> B u + s of the narrower side of a linear layer."""

    B: Tensor
    """[r, r]"""
    s: Tensor
    """[r]"""

    def __call__(self, u: Tensor) -> Tensor:
        """Map [n, r]."""
        return u @ self.B.T + self.s


def is_fan_in(W: Tensor) -> bool:
    """Tell whether the inputs of a linear layer are its narrower side."""
    return W.shape[1] - 1 <= len(W)


def split(W: Tensor, mix: Mix) -> tuple[Tensor, Tensor]:
    """Factorise a linear layer through r = min(n_in, n_out) neurons.

    Args:
        W: Weights [n_out, n_in + 1], bias last.
        mix: Of the inputs if they are not more than the outputs, else of the outputs.

    Returns:
        The first [r, n_in + 1] and the second [n_out, r + 1] layer's weights.
    """
    if is_fan_in(W):
        first = torch.cat([mix.B, mix.s[:, None]], 1)
        back = torch.linalg.solve(mix.B, W[:, :-1], left=False)
        bias = W[:, -1] - back @ mix.s
    else:
        first = mix.B @ W
        first[:, -1] += mix.s
        back = torch.linalg.inv(mix.B)
        bias = -back @ mix.s
    return first, torch.cat([back, bias[:, None]], 1)


@torch.no_grad()
def insert_layer(net: MLP, layer: int, mix: Mix) -> Replace:
    """Insert a hidden layer in front of linear layer ``layer``.

    Args:
        net: The network, changed in place; its function is not.
        layer: 0 for the first linear layer.
        mix: What the new neurons see; see ``split``.

    Returns:
        The change, for everything else that is shaped like the parameters.

    Raises:
        ValueError: if the nonlinearity cannot be the identity.
    """
    if net.family.identity is None:
        raise ValueError(f"{net.activation} cannot be the identity: no layer fits in")
    at = net.locate(LayerIndex(0, layer)).rows
    first, second = split(net.parts[at].detach(), mix)
    identity = first.new_tensor(net.family.identity).expand(len(first), -1).clone()
    return _replace(net, layer, (at, at + 1), [first, identity, second], grow=1)


@torch.no_grad()
def remove_layer(net: MLP, layer: int, C: Tensor) -> Replace:
    """Remove a hidden layer, as if its activations were linear in its inputs.

    Args:
        net: The network, changed in place.
        layer: Which hidden layer.
        C: Best linear map [n, n_in + 1] from its inputs to its activations.

    Returns:
        The change, for everything else that is shaped like the parameters.
    """
    parts = net.locate(LayerIndex(0, layer))
    V = net.parts[parts.columns].detach()
    W = V[:, :-1] @ C
    W[:, -1] += V[:, -1]
    return _replace(net, layer, (parts.rows, parts.columns + 1), [W], grow=-1)


def _replace(
    net: MLP, layer: int, where: tuple[int, int], tensors: list[Tensor], *, grow: int
) -> Replace:
    change = Replace(
        site=layer,
        is_insertion=grow > 0,
        start=where[0],
        stop=where[1],
        shapes=tuple(tuple(t.shape) for t in tensors),
        layout=(net.layout[0] + grow,),
    )
    replace(net, change, tensors)
    return change

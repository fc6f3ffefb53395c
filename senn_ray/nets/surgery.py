"""Surgery: change the size of a network, and of everything shaped like its weights.

A change is described once (``Widen``, ``Prune``) and applied to any list of tensors
that has the shapes of the weights: the weights themselves, the moments of an optimiser.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from senn_ray.maths.removal import compensation
from senn_ray.nets.mlp import MLP


@dataclass(frozen=True)
class Widen:
    """Add one neuron at the end of hidden layer ``site``."""

    site: int

    def reshape(self, tensors: list[Tensor]) -> list[Tensor]:
        """Add a zero row to layer ``site`` and a zero column to the next one.

        The new column stands before the bias, which stays last.
        """
        result = list(tensors)
        rows, columns = tensors[self.site], tensors[self.site + 1]
        result[self.site] = torch.cat([rows, rows.new_zeros(1, rows.shape[1])])
        zero = columns.new_zeros(len(columns), 1)
        result[self.site + 1] = torch.cat([columns[:, :-1], zero, columns[:, -1:]], 1)
        return result


@dataclass(frozen=True)
class Prune:
    """Remove neuron ``index`` of hidden layer ``site``."""

    site: int
    index: int

    def reshape(self, tensors: list[Tensor]) -> list[Tensor]:
        """Drop the neuron's row in layer ``site`` and its column in the next one."""
        result = list(tensors)
        rows, columns = tensors[self.site], tensors[self.site + 1]
        keep_row = torch.arange(len(rows), device=rows.device) != self.index
        keep = torch.arange(columns.shape[1], device=columns.device) != self.index
        result[self.site] = rows[keep_row]
        result[self.site + 1] = columns[:, keep]
        return result


Surgery = Widen | Prune


@torch.no_grad()
def widen(net: MLP, change: Widen, fan_in: Tensor) -> None:
    """Add a neuron whose fan-out is exactly zero, so the function is unchanged.

    Args:
        net: The network, changed in place.
        change: Where.
        fan_in: The neuron's weights [n_in + 1], bias last.
    """
    weights = change.reshape([w.detach() for w in net.weights])
    weights[change.site][-1] = fan_in
    net.weights = nn.ParameterList(nn.Parameter(w) for w in weights)


@torch.no_grad()
def prune(net: MLP, change: Prune, A: Tensor) -> None:
    """Remove a neuron and let the others take over what they can.

    Args:
        net: The network, changed in place.
        change: Which neuron.
        A: Damped second moment [n_in + 1, n_in + 1] of the next layer's inputs.
    """
    columns = net.weights[change.site + 1].detach()
    weights = change.reshape([w.detach() for w in net.weights])
    weights[change.site + 1] = compensation(columns, A, change.index)
    net.weights = nn.ParameterList(nn.Parameter(w) for w in weights)

"""Surgery: change the size of a network, and of everything shaped like its tensors.

A change is described once (``Widen``, ``Prune``, ``Replace``) and applied to any list
of tensors that has the shapes of the parameters: the parameters themselves, the moments
of an optimiser.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.maths.removal import compensation
from senn_ray.nets.network import LayerIndex, Network, Parts


@dataclass(frozen=True)
class Widen:
    """Add one neuron at the end of a hidden layer."""

    site: int
    """The number of the hidden layer, over all stages."""
    parts: Parts

    def reshape(self, tensors: list[Tensor]) -> list[Tensor]:
        """Add a zero to everything that is per neuron.

        The new column stands before the bias, which stays last.
        """
        result = list(tensors)
        for i in (self.parts.rows, self.parts.shape):
            if i is not None:
                rows = tensors[i]
                result[i] = torch.cat([rows, rows.new_zeros(1, rows.shape[1])])
        columns = tensors[self.parts.columns]
        zero = columns.new_zeros(len(columns), 1)
        wider = torch.cat([columns[:, :-1], zero, columns[:, -1:]], 1)
        result[self.parts.columns] = wider
        return result


@dataclass(frozen=True)
class Prune:
    """Remove neuron ``index`` of a hidden layer."""

    site: int
    """The number of the hidden layer, over all stages."""
    parts: Parts
    index: int

    def reshape(self, tensors: list[Tensor]) -> list[Tensor]:
        """Drop everything that is the neuron's."""
        result = list(tensors)
        for i in (self.parts.rows, self.parts.shape):
            if i is not None:
                result[i] = _without(tensors[i], self.index, 0)
        columns = self.parts.columns
        result[columns] = _without(tensors[columns], self.index, 1)
        return result


@dataclass(frozen=True)
class Replace:
    """Put new tensors where others were: a hidden layer comes or goes."""

    site: int
    """The number of the hidden layer, over all stages."""
    is_insertion: bool
    start: int
    stop: int
    """Tensors from ``start`` to before ``stop`` go."""
    shapes: tuple[tuple[int, ...], ...]
    """Of the tensors that come."""
    layout: tuple[int, ...]
    """Hidden layers of each stage, afterwards."""

    def reshape(self, tensors: list[Tensor]) -> list[Tensor]:
        """Put zeros in the new places: what was known of the old tensors is gone."""
        new = [tensors[0].new_zeros(shape) for shape in self.shapes]
        return [*tensors[: self.start], *new, *tensors[self.stop :]]


Surgery = Widen | Prune | Replace


def site(net: Network, place: LayerIndex) -> int:
    """Number a hidden layer over all stages."""
    return sum(net.layout[: place.stage]) + place.layer


@torch.no_grad()
def widen(net: Network, place: LayerIndex, fan_in: Tensor) -> Widen:
    """Add a neuron whose fan-out is exactly zero, so the function is unchanged.

    Args:
        net: The network, changed in place.
        place: Which hidden layer.
        fan_in: The neuron's weights [n_in + 1], bias last.

    Returns:
        The change, for everything else that is shaped like the parameters.
    """
    change = Widen(site(net, place), net.locate(place))
    tensors = change.reshape(net.tensors())
    tensors[change.parts.rows][-1] = fan_in
    if change.parts.shape is not None:
        tensors[change.parts.shape][-1] = fan_in.new_tensor(net.family.start)
    net.become(tensors, net.layout)
    return change


@torch.no_grad()
def prune(net: Network, place: LayerIndex, index: int, A: Tensor) -> Prune:
    """Remove a neuron and let the others take over what they can.

    Args:
        net: The network, changed in place.
        place: Which hidden layer.
        index: Which neuron.
        A: Damped second moment [n + 1, n + 1] of what the layer's readers get.

    Returns:
        The change, for everything else that is shaped like the parameters.
    """
    change = Prune(site(net, place), net.locate(place), index)
    columns = net.tensors()[change.parts.columns]
    tensors = change.reshape(net.tensors())
    tensors[change.parts.columns] = compensation(columns, A, index)
    net.become(tensors, net.layout)
    return change


def replace(net: Network, change: Replace, tensors: list[Tensor]) -> None:
    """Put a layer in, or take it out.

    Args:
        net: The network, changed in place.
        change: Which tensors go, and the shapes of those that come.
        tensors: Those that come.
    """
    old = net.tensors()
    kept = [*old[: change.start], *tensors, *old[change.stop :]]
    net.become(kept, change.layout)


def _without(tensor: Tensor, index: int, dim: int) -> Tensor:
    keep = torch.arange(tensor.shape[dim], device=tensor.device) != index
    return tensor.index_select(dim, keep.nonzero()[:, 0])

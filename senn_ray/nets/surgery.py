"""Surgery: change the size of a network, and of everything shaped like its tensors.

A change is described once (``Widen``, ``Prune``, ``Replace``) and applied to any list
of tensors that has the shapes of the parameters: the parameters themselves, the moments
of an optimiser. No insertion changes the function:

- A *neuron* (or channel) gets a fan-out of exactly zero.
- A *block* of a convolutional network gets one channel, and that a fan-out of zero.
- A *layer* of a multi-layer perceptron splits a linear layer W by a nonlinearity that
  is exactly the identity (Mitchell et al. 2023): with n_in <= n_out

      W [a, 1]  =  (W' B⁻¹) σ(B a + s) + (w₀ - W' B⁻¹ s)

  and, where the outputs are fewer, with B on their side: B⁻¹ σ(B W [a, 1] + s) - B⁻¹ s.
  So the new layer is as wide as the narrower side. B is well conditioned.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.nets.conv import ConvNet
from senn_ray.nets.mlp import MLP
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
    """Shapes of the tensors that come."""
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
    """Add a neuron [n_in + 1], bias last, at the end of a hidden layer, in place.

    Its fan-out is exactly zero, so the function is unchanged. Returns the change, for
    everything else that is shaped like the parameters.
    """
    change = Widen(site(net, place), net.locate(place))
    tensors = change.reshape(net.tensors())
    tensors[change.parts.rows][-1] = fan_in
    if change.parts.shape is not None:
        tensors[change.parts.shape][-1] = fan_in.new_tensor(net.family.start)
    net.become(tensors, net.layout)
    return change


@torch.no_grad()
def prune(
    net: Network, place: LayerIndex, index: int, columns: Tensor | None = None
) -> Prune:
    """Remove a neuron in place.

    Args:
        net: The network.
        place: The hidden layer.
        index: The neuron.
        columns: Weights [n_out, n] of the next linear layer for the others, if they take
            over what they can (``maths.removal.compensation``).

    Returns:
        The change, for everything else that is shaped like the parameters.
    """
    change = Prune(site(net, place), net.locate(place), index)
    tensors = change.reshape(net.tensors())
    if columns is not None:
        tensors[change.parts.columns] = columns
    net.become(tensors, net.layout)
    return change


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
        mix: A map of the inputs if they are not more than the outputs, else of the outputs.

    Returns:
        The weights of the first [r, n_in + 1] and of the second layer [n_out, r + 1].
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
    """Insert a hidden layer in front of a linear layer, in place.

    Args:
        net: The network; its function is not changed.
        layer: Number of the linear layer; 0 for the first.
        mix: What the new neurons see; see ``split``.

    Returns:
        The change, for everything else that is shaped like the parameters.

    Raises:
        ValueError: if the nonlinearity cannot be the identity.
    """
    if net.family.identity is None:
        raise ValueError(f"{net.activation} cannot be the identity: no layer fits in")
    place = LayerIndex(0, layer)
    at = net.locate(place).rows
    first, second = split(net.parts[at].detach(), mix)
    identity = first.new_tensor(net.family.identity).expand(len(first), -1).clone()
    return _replace(net, place, (at, at + 1), [first, identity, second], grow=1)


@torch.no_grad()
def remove_layer(net: MLP, layer: int, C: Tensor) -> Replace:
    """Remove a hidden layer in place, as if its activations were linear in its inputs.

    Args:
        net: The network.
        layer: Number of the hidden layer.
        C: Best linear map [n, n_in + 1] from its inputs to its activations.

    Returns:
        The change, for everything else that is shaped like the parameters.
    """
    place = LayerIndex(0, layer)
    parts = net.locate(place)
    V = net.parts[parts.columns].detach()
    W = V[:, :-1] @ C
    W[:, -1] += V[:, -1]
    return _replace(net, place, (parts.rows, parts.columns + 1), [W], grow=-1)


@torch.no_grad()
def insert_block(net: ConvNet, stage: int, fan_in: Tensor) -> Replace:
    """Append a block of one channel [9c + 1], bias last, to a stage, in place.

    Its fan-out is exactly zero. Returns the change, for everything else that is shaped like
    the parameters.
    """
    place = LayerIndex(stage, net.layout[stage])
    parts = net.locate(place)
    channels = net.architecture().channels[stage]
    tensors = [fan_in[None].clone()]
    if net.family.start:
        tensors.append(fan_in.new_tensor(net.family.start)[None])
    tensors.append(fan_in.new_zeros(channels, 2))
    return _replace(net, place, (parts.rows, parts.rows), tensors, grow=1)


@torch.no_grad()
def remove_block(net: ConvNet, place: LayerIndex, mean: Tensor) -> Replace:
    """Remove a block in place; what it adds to the stream on average stays.

    That constant goes to the bias of the linear layer that feeds the stream just before
    the block: the block before it, or what leads into the stage.

    Args:
        net: The network.
        place: The block.
        mean: Mean of its hidden activations [h], over examples and positions.

    Returns:
        The change, for everything else that is shaped like the parameters.
    """
    parts = net.locate(place)
    V = net.parts[parts.columns].detach()
    net.parts[parts.rows - 1][:, -1] += V[:, :-1] @ mean + V[:, -1]
    return _replace(net, place, (parts.rows, parts.columns + 1), [], grow=-1)


def _replace(
    net: Network,
    place: LayerIndex,
    where: tuple[int, int],
    tensors: list[Tensor],
    *,
    grow: int,
) -> Replace:
    """Put tensors in the place of those from ``where[0]`` to before ``where[1]``."""
    start, stop = where
    layout = list(net.layout)
    layout[place.stage] += grow
    change = Replace(
        site=site(net, place),
        is_insertion=grow > 0,
        start=start,
        stop=stop,
        shapes=tuple(tuple(t.shape) for t in tensors),
        layout=tuple(layout),
    )
    old = net.tensors()
    net.become([*old[:start], *tensors, *old[stop:]], change.layout)
    return change


def _without(tensor: Tensor, index: int, dim: int) -> Tensor:
    keep = torch.arange(tensor.shape[dim], device=tensor.device) != index
    return tensor.index_select(dim, keep.nonzero()[:, 0])

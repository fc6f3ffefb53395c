"""Appending and removing whole residual blocks of a convolutional network."""

import torch
from torch import Tensor

from senn_ray.nets.conv import ConvNet
from senn_ray.nets.network import LayerIndex
from senn_ray.nets.surgery import Replace, replace, site


@torch.no_grad()
def insert_block(net: ConvNet, stage: int, fan_in: Tensor) -> Replace:
    """Append a block of one channel to a stage, its fan-out exactly zero.

    Args:
        net: The network, changed in place; its function is not.
        stage: Which stage.
        fan_in: The channel's weights [9c + 1], bias last.

    Returns:
        The change, for everything else that is shaped like the parameters.
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
    """Remove a block; what it adds to the stream on average stays.

    That constant goes to the bias of the linear layer that feeds the stream just before
    the block: the block before it, or what leads into the stage.

    Args:
        net: The network, changed in place.
        place: Which block.
        mean: Of its hidden activations [h], over examples and positions.

    Returns:
        The change, for everything else that is shaped like the parameters.
    """
    parts = net.locate(place)
    V = net.parts[parts.columns].detach()
    net.parts[parts.rows - 1][:, -1] += V[:, :-1] @ mean + V[:, -1]
    return _replace(net, place, (parts.rows, parts.columns + 1), [], grow=-1)


def _replace(
    net: ConvNet,
    place: LayerIndex,
    where: tuple[int, int],
    tensors: list[Tensor],
    *,
    grow: int,
) -> Replace:
    layout = list(net.layout)
    layout[place.stage] += grow
    change = Replace(
        site=site(net, place),
        is_insertion=grow > 0,
        start=where[0],
        stop=where[1],
        shapes=tuple(tuple(t.shape) for t in tensors),
        layout=tuple(layout),
    )
    replace(net, change, tensors)
    return change

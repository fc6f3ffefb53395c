"""Making networks of any kind from their architecture."""

import dataclasses
from typing import Any

import torch
from torch import Tensor

from senn_ray.nets import conv, mlp
from senn_ray.nets.conv import ConvArchitecture, ConvNet
from senn_ray.nets.mlp import DenseArchitecture
from senn_ray.nets.network import Network

AnyArchitecture = DenseArchitecture | ConvArchitecture


def build(architecture: AnyArchitecture, generator: torch.Generator) -> Network:
    """Initialise a network.

    Args:
        architecture: What to build.
        generator: Source of the weights; its device is the network's.
    """
    if isinstance(architecture, ConvArchitecture):
        return conv.build(architecture, generator)
    return mlp.build(architecture, generator)


def rebuild(architecture: AnyArchitecture, tensors: list[Tensor]) -> Network:
    """Make a network from what ``architecture`` and ``tensors`` gave.

    Args:
        architecture: What the network is.
        tensors: Its parameters.
    """
    if isinstance(architecture, ConvArchitecture):
        return ConvNet(architecture, tensors)
    return mlp.rebuild(architecture, tensors)


def describe(net: Network) -> dict[str, Any]:
    """Describe a network's architecture by plain values.

    Args:
        net: Of any kind.
    """
    architecture: Any = net.architecture()
    return dataclasses.asdict(architecture)


def from_values(values: dict[str, Any]) -> AnyArchitecture:
    """Read an architecture from plain values, as ``describe`` gives them.

    Args:
        values: The fields; ``kind`` says which class.
    """
    if values["kind"] == "conv":
        return ConvArchitecture(**values)
    return DenseArchitecture(**values)

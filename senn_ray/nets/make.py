"""Making networks: from settings and data, from plain values, from tensors."""

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor

from senn_ray.config import ModelConfig
from senn_ray.core.errors import ConfigError
from senn_ray.nets import conv, mlp
from senn_ray.nets.conv import ConvArchitecture, ConvNet, split_blocks
from senn_ray.nets.mlp import DenseArchitecture
from senn_ray.nets.network import Network

AnyArchitecture = DenseArchitecture | ConvArchitecture

PLANE, VOLUME = 2, 3
"""Axes of an image without and with channels."""


def starting_architecture(
    model: ModelConfig, feature_shape: tuple[int, ...], num_outputs: int
) -> AnyArchitecture:
    """Describe the network that a run starts with.

    Data that does not suit the network is a ``ConfigError``.

    Args:
        model: The section ``model`` of the settings.
        feature_shape: Shape of one example, channels first.
        num_outputs: Number of classes, or of targets of a regression.
    """
    if model.kind == "conv":
        return ConvArchitecture(
            image=_image(model, feature_shape),
            patch=model.patch,
            channels=model.channels,
            blocks=split_blocks(model.hidden, len(model.channels)),
            num_outputs=num_outputs,
            activation=model.activation,
        )
    return DenseArchitecture(
        num_inputs=math.prod(feature_shape),
        hidden=model.hidden,
        num_outputs=num_outputs,
        activation=model.activation,
    )


def _image(model: ModelConfig, feature_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return channels, height and width of an example."""
    if len(feature_shape) not in (PLANE, VOLUME):
        raise ConfigError(
            f"model.kind conv needs images [H, W] or [C, H, W], and the data has "
            f"examples of shape {list(feature_shape)}; use model.kind mlp"
        )
    *channels, height, width = feature_shape
    if height % model.patch or width % model.patch:
        raise ConfigError(
            f"model.patch {model.patch} does not divide images of {height} x {width}; "
            "use one that does, such as 1"
        )
    least = model.patch * 2 ** (len(model.channels) - 1)
    if min(height, width) < least:
        raise ConfigError(
            f"images of {height} x {width} are too small for the {len(model.channels)} "
            f"stages of model.channels with model.patch {model.patch}: {least} x "
            f"{least} at least; give fewer stages, such as model.channels 16"
        )
    return channels[0] if channels else 1, height, width


def build(architecture: AnyArchitecture, generator: torch.Generator) -> Network:
    """Initialise a network, on the device of the generator."""
    if isinstance(architecture, ConvArchitecture):
        return conv.build(architecture, generator)
    return mlp.build(architecture, generator)


def rebuild(architecture: AnyArchitecture, tensors: list[Tensor]) -> Network:
    """Make a network from what ``architecture`` and ``tensors`` gave."""
    if isinstance(architecture, ConvArchitecture):
        return ConvNet(architecture, tensors)
    return mlp.rebuild(architecture, tensors)


def describe(net: Network) -> dict[str, Any]:
    """Describe a network's architecture by plain values."""
    architecture: Any = net.architecture()
    return dataclasses.asdict(architecture)


def from_values(values: dict[str, Any]) -> AnyArchitecture:
    """Read an architecture from what ``describe`` gave."""
    if values["kind"] == "conv":
        return ConvArchitecture(**values)
    return DenseArchitecture(**values)

"""The network that a run starts with: from settings and data to an architecture."""

import math

from senn_ray.config import ModelConfig
from senn_ray.core.errors import ConfigError
from senn_ray.nets.conv import ConvArchitecture, split_blocks
from senn_ray.nets.make import AnyArchitecture
from senn_ray.nets.mlp import DenseArchitecture

PLANE, VOLUME = 2, 3
"""Axes of an image without and with channels."""


def plan(
    model: ModelConfig, feature_shape: tuple[int, ...], num_outputs: int
) -> AnyArchitecture:
    """Describe the network that a run starts with.

    Args:
        model: The section ``model`` of the settings.
        feature_shape: Of one example, channels first.
        num_outputs: Classes, or targets of a regression.

    Returns:
        The architecture. Data that does not suit the network is a ``ConfigError``.
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

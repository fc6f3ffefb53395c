"""Checkpoints: the trained network on disk, loadable with ``weights_only=True``."""

from pathlib import Path

import torch

from senn_ray.core.files import replacing
from senn_ray.data.standardisation import Inputs, from_dict, to_dict
from senn_ray.nets.network import Network
from senn_ray.training.snapshots import pack, unpack


def save(net: Network, path: Path, inputs: Inputs | None = None) -> None:
    """Write the architecture and the weights, atomically.

    Args:
        net: The network.
        path: The file; its folder is made if needed.
        inputs: What the network takes in, for those who have no data set at hand.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = pack(net)
    host = [tensor.cpu() for tensor in packed["weights"]]
    told = {} if inputs is None else {"inputs": to_dict(inputs)}
    with replacing(path) as partial:
        torch.save({**packed, "weights": host, **told}, partial)


def load(path: Path) -> Network:
    """Read a network.

    Args:
        path: A file written by ``save``.

    Returns:
        The network, on the CPU.
    """
    return unpack(torch.load(path, weights_only=True))


def load_inputs(path: Path) -> Inputs | None:
    """Read what a network takes in; nothing, if the file does not tell.

    Args:
        path: A file written by ``save``.
    """
    return from_dict(torch.load(path, weights_only=True).get("inputs"))

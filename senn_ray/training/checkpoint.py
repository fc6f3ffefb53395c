"""Checkpoints: the trained network on disk, loadable with ``weights_only=True``."""

from pathlib import Path

import torch

from senn_ray.nets.network import Network
from senn_ray.training.keeping import write
from senn_ray.training.state import pack, unpack


def save(net: Network, path: Path) -> None:
    """Write the architecture and the weights, atomically.

    Args:
        net: The network.
        path: The file; its folder is made if needed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = pack(net)
    host = [tensor.cpu() for tensor in packed["weights"]]
    write({**packed, "weights": host}, path)


def load(path: Path) -> Network:
    """Read a network.

    Args:
        path: A file written by ``save``.

    Returns:
        The network, on the CPU.
    """
    return unpack(torch.load(path, weights_only=True))

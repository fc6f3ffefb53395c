"""Checkpoints: the trained network on disk, loadable with ``weights_only=True``."""

import dataclasses
import os
from pathlib import Path

import torch

from senn_ray.nets.mlp import MLP, Architecture, rebuild


def save(net: MLP, path: Path) -> None:
    """Write the architecture and the weights, atomically.

    Args:
        net: The network.
        path: The file; its folder is made if needed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    torch.save(
        {
            "architecture": dataclasses.asdict(net.architecture()),
            "weights": [w.detach().cpu() for w in net.tensors()],
        },
        partial,
    )
    partial.replace(path)


def load(path: Path) -> MLP:
    """Read a network.

    Args:
        path: A file written by ``save``.

    Returns:
        The network, on the CPU.
    """
    values = torch.load(path, weights_only=True)
    return rebuild(Architecture(**values["architecture"]), values["weights"])

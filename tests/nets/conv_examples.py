"""Small convolutional networks and images for tests."""

import torch
from torch import Tensor

from senn_ray.config import Activation
from senn_ray.nets.conv import ConvArchitecture, ConvNet, build


def network(
    blocks: tuple[tuple[int, ...], ...] = ((3, 2), (4,)),
    *,
    image: tuple[int, int, int] = (2, 4, 6),
    patch: int = 1,
    activation: Activation = "silu",
    trained: bool = True,
) -> ConvNet:
    """A small network in float64; a trained one has fan-out."""
    generator = torch.Generator().manual_seed(7)
    architecture = ConvArchitecture(
        image=image,
        patch=patch,
        channels=(4, 5, 6)[: len(blocks)],
        blocks=blocks,
        num_outputs=3,
        activation=activation,
    )
    net = build(architecture, generator).double()
    if trained:
        with torch.no_grad():
            for tensor in net.parts:
                tensor.add_(0.3 * torch.randn(tensor.shape, generator=generator))
    return net


def data(net: ConvNet, n: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    c, h, w = net.image
    x = torch.randn(n, c * h * w, generator=generator).double()
    return x, torch.randint(0, 3, (n,), generator=generator)

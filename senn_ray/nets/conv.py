"""A convolutional network of residual blocks that can change in width and number.

    stem      3x3 convolution of the image (cut into squares of pixels first)
    stage     residual blocks  s <- s + V σ(U * [s, 1]),  U 3x3, V 1x1
    between   2x2 mean pooling, then a linear map to the next stage's channels
    head      mean over all positions, then a linear map

The stream s has the same channels within a stage; what grows is inside the blocks. A
block whose V is zero does nothing, exactly, so one more block never disturbs, whatever
the nonlinearity. There is no normalisation over a batch: it would couple the examples,
and every addition would change the function.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from senn_ray.config import Activation
from senn_ray.nets.activations import FAMILIES
from senn_ray.nets.network import LayerIndex, Network, Parts

TAPS = 9
"""Weights of a 3x3 convolution for one channel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvArchitecture:
    """Everything needed to build a convolutional network but its parameters."""

    kind: Literal["conv"] = "conv"
    image: tuple[int, int, int]
    """Channels, height and width of an example."""
    patch: int = 1
    """Side of the squares of pixels that the stem reads as one position."""
    channels: tuple[int, ...]
    """Channels of the stream, in each stage."""
    blocks: tuple[tuple[int, ...], ...]
    """Hidden channels of every block, in each stage."""
    num_outputs: int
    activation: Activation

    @property
    def hidden(self) -> tuple[int, ...]:
        """The hidden channels of all blocks, input first."""
        return tuple(h for stage in self.blocks for h in stage)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of every stage."""
        _, height, width = self.image
        first = self.patch
        return [
            (height // first // 2**s, width // first // 2**s)
            for s in range(len(self.channels))
        ]

    def matrices(self) -> Iterator[tuple[int, int, int]]:
        """Yield n_out, n_in + 1 and the positions of every linear layer, input first.

        A stage without blocks yields none for them.
        """
        sizes = [math.prod(size) for size in self.sizes]
        stem = TAPS * self.image[0] * self.patch**2 + 1
        yield self.channels[0], stem, sizes[0]
        for stage, c in enumerate(self.channels):
            for h in self.blocks[stage]:
                yield h, TAPS * c + 1, sizes[stage]
                yield c, h + 1, sizes[stage]
            if stage + 1 < len(self.channels):
                yield self.channels[stage + 1], c + 1, sizes[stage + 1]
        yield self.num_outputs, self.channels[-1] + 1, 1

    def num_params(self) -> int:
        """Count the parameters."""
        per_neuron = len(FAMILIES[self.activation].start)
        weights = sum(n_out * n_in for n_out, n_in, _ in self.matrices())
        return weights + per_neuron * sum(self.hidden)

    def multiply_adds(self) -> int:
        """Count the multiply-adds of one example's forward pass."""
        return sum(n_out * n_in * count for n_out, n_in, count in self.matrices())


@dataclass(frozen=True)
class Block:
    """A residual block on some examples."""

    seen: Tensor
    """The stream before it [n, c, H, W]."""
    hidden: Tensor
    """σ(U * [s, 1]) [n, h, H, W]."""
    stream: Tensor
    """The stream after it [n, c, H, W]."""


@dataclass(frozen=True)
class Trace:
    """What a convolutional network does on some examples."""

    blocks: dict[LayerIndex, Block]
    ends: list[Tensor]
    """The stream at the end of every stage [n, c, H, W]."""
    outputs: Tensor
    """[n, n_out]"""


class ConvNet(Network):
    """Residual blocks, in stages of falling resolution.

    The tensors are matrices with the bias in the last column: the stem [c, 9 n_in + 1];
    for every block U [h, 9c + 1], the parameters of the nonlinearity [h, p] if there
    are any, and V [c, h + 1]; between two stages [c', c + 1]; the head.
    """

    batch_size = 256
    decision_examples: int = 4096
    exact_below: int = 0

    def __init__(self, architecture: ConvArchitecture, tensors: list[Tensor]) -> None:
        """Hold tensors, in the order of the class."""
        layout = tuple(len(stage) for stage in architecture.blocks)
        super().__init__(tensors, layout, architecture.activation)
        self.image = architecture.image
        self.patch = architecture.patch

    @property
    def position_counts(self) -> list[int]:
        """The number of positions of every stage."""
        return [math.prod(size) for size in self.architecture().sizes]

    def architecture(self) -> ConvArchitecture:
        """Describe the network as it is now."""
        starts = [self._start(stage) for stage in range(len(self.layout))]
        return ConvArchitecture(
            image=self.image,
            patch=self.patch,
            channels=tuple(len(self.parts[start - 1]) for start in starts),
            blocks=tuple(
                tuple(
                    len(self.parts[self.locate(LayerIndex(stage, layer)).rows])
                    for layer in range(count)
                )
                for stage, count in enumerate(self.layout)
            ),
            num_outputs=len(self.parts[-1]),
            activation=self.activation,
        )

    @property
    def stride(self) -> int:
        """The number of tensors of a block."""
        return 3 if self.family.start else 2

    def _start(self, stage: int) -> int:
        """Number the first tensor of a stage's blocks."""
        return sum(1 + self.stride * count for count in self.layout[:stage]) + 1

    def locate(self, place: LayerIndex) -> Parts:
        """Find the tensors of a block; also of the next one that could be appended."""
        rows = self._start(place.stage) + place.layer * self.stride
        return Parts(
            rows=rows,
            shape=rows + 1 if self.family.start else None,
            columns=rows + self.stride - 1,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute outputs [n, n_out] from features [n, C H W]."""
        return self.trace(x).outputs

    def trace(self, x: Tensor) -> Trace:
        """Compute what every block sees and does, from features [n, C H W]."""
        images = nn.functional.pixel_unshuffle(x.view(-1, *self.image), self.patch)
        # The kernels for few channels are much faster with the channels innermost.
        images = images.contiguous(memory_format=torch.channels_last)
        stream = conv3x3(images, self.parts[0])
        blocks, ends = {}, []
        for stage, count in enumerate(self.layout):
            if stage:
                stream = nn.functional.avg_pool2d(stream, 2)
                stream = conv1x1(stream, self.parts[self._start(stage) - 1])
            for layer in range(count):
                place = LayerIndex(stage, layer)
                blocks[place] = self._block(stream, place)
                stream = blocks[place].stream
            ends.append(stream)
        W = self.parts[-1]
        outputs = stream.mean((2, 3)) @ W[:, :-1].T + W[:, -1]
        return Trace(blocks, ends, outputs)

    def _block(self, stream: Tensor, place: LayerIndex) -> Block:
        parts = self.locate(place)
        shape = [values[:, None, None] for values in self.shape(place)]
        z = conv3x3(stream, self.parts[parts.rows])
        hidden = self.family.apply(z, shape)
        after = stream + conv1x1(hidden, self.parts[parts.columns])
        return Block(stream, hidden, after)


def conv(net: Network) -> ConvNet:
    """Return a network that must be convolutional.

    Raises:
        TypeError: if it is not.
    """
    if not isinstance(net, ConvNet):
        raise TypeError(f"{type(net).__name__} is not a convolutional network")
    return net


def conv3x3(images: Tensor, W: Tensor) -> Tensor:
    """Convolve images with zeros around them.

    Args:
        images: [n, c, H, W].
        W: Weights [n_out, 9c + 1], the taps of a channel together, bias last.
    """
    weights = W[:, :-1].reshape(len(W), -1, 3, 3)
    return nn.functional.conv2d(images, weights, W[:, -1], padding=1)


def conv1x1(images: Tensor, W: Tensor) -> Tensor:
    """Apply a linear layer at every position.

    Args:
        images: [n, c, H, W].
        W: Weights [n_out, c + 1], bias last.
    """
    return nn.functional.conv2d(images, W[:, :-1, None, None], W[:, -1])


def build(architecture: ConvArchitecture, generator: torch.Generator) -> ConvNet:
    """Initialise a network: weights N(0, 1/n_in), biases zero, blocks that do nothing.

    U is N(0, 2/n_in), V is zero (Zhang et al. 2019), so depth does not matter. The device
    of the generator is the network's.
    """
    start = FAMILIES[architecture.activation].start

    def normal(n_out: int, n_in: int, variance: float) -> Tensor:
        W = torch.zeros(n_out, n_in + 1, device=generator.device)
        noise = torch.randn(n_out, n_in, generator=generator, device=generator.device)
        W[:, :-1] = math.sqrt(variance / n_in) * noise
        return W

    image, channels = architecture.image, architecture.channels
    tensors = [normal(channels[0], TAPS * image[0] * architecture.patch**2, 1)]
    for c, blocks, n_out in zip(
        channels,
        architecture.blocks,
        (*channels[1:], architecture.num_outputs),
        strict=True,
    ):
        for h in blocks:
            tensors.append(normal(h, TAPS * c, 2))
            if start:
                tensors.append(tensors[0].new_tensor(start).expand(h, -1).clone())
            tensors.append(tensors[0].new_zeros(c, h + 1))
        tensors.append(normal(n_out, c, 1))
    return ConvNet(architecture, tensors)


def split_blocks(hidden: tuple[int, ...], stages: int) -> tuple[tuple[int, ...], ...]:
    """Divide hidden widths among stages, the same number of blocks for each.

    Args:
        hidden: Widths, input first; a single one stands for a block in every stage.
        stages: How many.
    """
    if len(hidden) == 1:
        hidden = hidden * stages
    ends = [len(hidden) * stage // stages for stage in range(stages + 1)]
    return tuple(hidden[start:stop] for start, stop in pairwise(ends))

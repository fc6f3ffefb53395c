"""What all networks share: a list of tensors, an architecture, places that may grow."""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from senn_ray.config import Activation
from senn_ray.nets.activations import FAMILIES, Shape


@dataclass(frozen=True, order=True, slots=True)
class LayerIndex:
    """Where a hidden layer is, or where one may be inserted: its stage and number."""

    stage: int
    layer: int


@dataclass(frozen=True, slots=True)
class Parts:
    """Which tensors of a network belong to the hidden layer at one place."""

    rows: int
    """The matrix whose rows are the fan-in of the neurons, [n, n_in + 1], bias last."""
    shape: int | None
    """The parameters of their nonlinearity [n, p], if there are any."""
    columns: int
    """The matrix whose columns are their fan-out, [n_out, n + 1], bias last."""


class Architecture(Protocol):
    """Everything needed to build a network but its parameters."""

    @property
    def hidden(self) -> tuple[int, ...]:
        """The widths of all hidden layers, input first."""
        ...

    def num_params(self) -> int:
        """Count the parameters."""
        ...

    def multiply_adds(self) -> int:
        """Count the multiply-adds of one example's forward pass."""
        ...


class Network(nn.Module, ABC):
    """A network whose hidden layers change in width and number.

    All parameters are in one list of tensors; surgery works on such lists, so that it
    applies alike to the parameters and to the moments of an optimiser.
    """

    parts: nn.ParameterList
    looks_at_inputs = False
    """Whether the neurons at the first place look at the network's inputs."""
    batch_size = 4096
    """Examples at a time where no gradients are kept; larger pieces cost more, because
    their memory goes back to the system every time."""
    decision_examples: int = 16384
    """Most examples for one decision, unless the settings say otherwise."""
    exact_below: int = 4096
    """Fewer examples than these get exact curvature, unless the settings say so."""

    def __init__(
        self, tensors: list[Tensor], layout: tuple[int, ...], activation: Activation
    ) -> None:
        """Hold tensors."""
        super().__init__()
        self.activation: Activation = activation
        self.family = FAMILIES[activation]
        self.become(tensors, layout)

    def become(self, tensors: list[Tensor], layout: tuple[int, ...]) -> None:
        """Take other parameters and another number of layers."""
        self.layout = layout
        self.parts = nn.ParameterList(nn.Parameter(t.detach()) for t in tensors)

    def tensors(self) -> list[Tensor]:
        """List all parameters, in the order that ``rebuild`` takes them."""
        return list(self.parts)

    @property
    def position_counts(self) -> list[int]:
        """The number of positions of every stage; none for dense layers."""
        return []

    @abstractmethod
    def architecture(self) -> Architecture:
        """Describe the network as it is now."""

    @abstractmethod
    def locate(self, place: LayerIndex) -> Parts:
        """Find the tensors of a hidden layer."""

    def decayed(self) -> list[bool]:
        """Tell which tensors are weights: all columns but the last (biases) decay.

        Parameters of nonlinearities do not.
        """
        shapes = {self.locate(place).shape for place in self.places()}
        return [i not in shapes for i in range(len(self.parts))]

    def places(self) -> list[LayerIndex]:
        """List the hidden layers, input first."""
        return [
            LayerIndex(stage, layer)
            for stage, count in enumerate(self.layout)
            for layer in range(count)
        ]

    def shape(self, place: LayerIndex) -> Shape:
        """Return the parameters of a layer's nonlinearity, each [n]."""
        index = self.locate(place).shape
        return [] if index is None else self.parts[index].unbind(1)


def checksum(net: Network) -> str:
    """Hash the architecture and the parameters, bit for bit."""
    digest = hashlib.sha256(repr(net.architecture()).encode())
    for tensor in net.tensors():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def with_constant(a: Tensor) -> Tensor:
    """Append the constant input 1: [n, n_in] -> [n, n_in + 1]."""
    return torch.cat([a, a.new_ones(len(a), 1)], 1)

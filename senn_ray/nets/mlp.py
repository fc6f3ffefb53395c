"""A multi-layer perceptron whose layers can change size and number."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from senn_ray.config import Activation
from senn_ray.nets.activations import FAMILIES
from senn_ray.nets.network import LayerIndex, Network, Parts


@dataclass(frozen=True, kw_only=True, slots=True)
class DenseArchitecture:
    """Everything needed to build a multi-layer perceptron but its parameters."""

    kind: Literal["mlp"] = "mlp"
    num_inputs: int
    hidden: tuple[int, ...]
    num_outputs: int
    activation: Activation

    def matrices(self) -> list[tuple[int, int]]:
        """List the weight matrices [n_out, n_in + 1], the bias in the last column."""
        widths = (self.num_inputs, *self.hidden, self.num_outputs)
        return [(o, i + 1) for i, o in pairwise(widths)]

    def num_params(self) -> int:
        """Count the parameters."""
        per_neuron = len(FAMILIES[self.activation].start)
        return self.multiply_adds() + per_neuron * sum(self.hidden)

    def multiply_adds(self) -> int:
        """Count the multiply-adds of one example's forward pass."""
        return sum(o * i for o, i in self.matrices())


class MLP(Network):
    """Linear layers with a nonlinearity between them.

    The tensors are, input first, each layer's weight matrix with the bias in the last
    column, and after it the parameters of the nonlinearity if there are any. There is
    one stage; hidden layer i is at ``LayerIndex(0, i)``.
    """

    looks_at_inputs = True

    @property
    def stride(self) -> int:
        """The number of tensors of a hidden layer."""
        return 2 if self.family.start else 1

    @property
    def weights(self) -> list[Tensor]:
        """The weight matrices, input first."""
        return self.tensors()[:: self.stride]

    def architecture(self) -> DenseArchitecture:
        """Describe the network as it is now."""
        weights = self.weights
        return DenseArchitecture(
            num_inputs=weights[0].shape[1] - 1,
            hidden=tuple(len(w) for w in weights[:-1]),
            num_outputs=len(weights[-1]),
            activation=self.activation,
        )

    def locate(self, place: LayerIndex) -> Parts:
        """Find the tensors of a hidden layer."""
        rows = place.layer * self.stride
        shape = rows + 1 if self.family.start else None
        return Parts(rows=rows, shape=shape, columns=rows + self.stride)

    def forward(self, x: Tensor) -> Tensor:
        """Compute outputs [n, n_out] from features [n, n_in]."""
        return self.trace(x)[1][-1][:, : len(self.parts[-1])]

    def trace(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Compute every linear layer's inputs and outputs, padded with zeros.

        Args:
            x: Features [n, n_in].

        Returns:
            The inputs (without the constant 1) and the outputs, first layer first,
            each with columns of zeros after the real ones.
        """
        weights = self.weights
        inputs, outputs = [x], [input_layer(x, weights[0])]
        for place, W in zip(self.places(), weights[1:], strict=True):
            a = self._activate(outputs[-1], place)
            inputs.append(a)
            outputs.append(hidden_layer(a, W))
        return inputs, outputs

    def _activate(self, z: Tensor, place: LayerIndex) -> Tensor:
        z = nn.functional.pad(z, (0, -z.shape[1] % CHUNK))
        shape = [
            nn.functional.pad(values, (0, z.shape[1] - len(values)))
            for values in self.shape(place)
        ]
        return self.family.apply(z, shape)


def dense(net: Network) -> MLP:
    """Return a network that must be a multi-layer perceptron.

    Raises:
        TypeError: if it is not.
    """
    if not isinstance(net, MLP):
        raise TypeError(f"{type(net).__name__} is not a multi-layer perceptron")
    return net


# Matrix kernels choose the order of their sums by shape, and elementwise kernels treat
# the last few numbers apart: one more neuron could change the last bit of all outputs.
# So that an added neuron with zero fan-out leaves them bitwise equal, the shapes that
# the kernels see do not depend on the width: rows (outputs of a layer) come in padded
# groups, and sums over neurons run in padded chunks, one after the other. A group or
# chunk of zeros adds exactly 0, and all activations map 0 to 0.
GROUP = 16
CHUNK = 64


def input_layer(x: Tensor, W: Tensor) -> Tensor:
    """Apply the first linear layer, whose number of inputs never changes.

    Args:
        x: Features [n, n_in].
        W: Weights [n_out, n_in + 1], bias last.

    Returns:
        Outputs [n, n_out + padding].
    """
    weights = nn.functional.pad(W, (0, 0, 0, -len(W) % GROUP))
    return _product(x, weights[:, :-1]) + weights[:, -1]


def hidden_layer(a: Tensor, W: Tensor) -> Tensor:
    """Apply a linear layer to neurons.

    Args:
        a: Activations [n, n_in padded to a multiple of ``CHUNK``].
        W: Weights [n_out, n_in + 1], bias last.

    Returns:
        Outputs [n, n_out + padding].
    """
    n_in = W.shape[1] - 1
    rows = -len(W) % GROUP
    weights = nn.functional.pad(W[:, :-1], (0, a.shape[1] - n_in, 0, rows))
    result = nn.functional.pad(W[:, -1], (0, rows))
    for part, columns in zip(a.split(CHUNK, 1), weights.split(CHUNK, 1), strict=True):
        result = result + _product(part, columns)
    return result


def _product(a: Tensor, weights: Tensor) -> Tensor:
    # A single example would take a matrix-vector kernel, with an order of its own.
    return ((a.expand(2, -1) if len(a) == 1 else a) @ weights.T)[: len(a)]


def build(architecture: DenseArchitecture, generator: torch.Generator) -> MLP:
    """Initialise a network: weights N(0, 1/n_in), biases zero (LeCun et al. 1998).

    The device of the generator is the network's.
    """
    start = FAMILIES[architecture.activation].start
    tensors = []
    for n_out, n_in in architecture.matrices():
        W = torch.zeros(n_out, n_in, device=generator.device)
        scale = (n_in - 1) ** -0.5
        W[:, :-1] = scale * torch.randn(
            n_out, n_in - 1, generator=generator, device=generator.device
        )
        tensors.append(W)
        if start:
            tensors.append(W.new_tensor(start).expand(n_out, -1).clone())
    if start:
        tensors.pop()  # The outputs have no nonlinearity.
    return rebuild(architecture, tensors)


def rebuild(architecture: DenseArchitecture, tensors: list[Tensor]) -> MLP:
    """Make a network from what ``architecture`` and ``tensors`` gave."""
    return MLP(tensors, (len(architecture.hidden),), architecture.activation)

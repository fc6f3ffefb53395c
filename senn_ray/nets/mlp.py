"""A multi-layer perceptron whose layers can change size."""

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from senn_ray.config import Activation

ACTIVATIONS = {
    "silu": nn.functional.silu,
    "gelu": nn.functional.gelu,
    "tanh": torch.tanh,
    "relu": torch.relu,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """Everything needed to build a network but its weights."""

    num_inputs: int
    hidden: tuple[int, ...]
    num_outputs: int
    activation: Activation

    def shapes(self) -> list[tuple[int, int]]:
        """List the weight matrices [n_out, n_in + 1], the bias in the last column."""
        widths = (self.num_inputs, *self.hidden, self.num_outputs)
        return [(o, i + 1) for i, o in pairwise(widths)]

    def num_params(self) -> int:
        """Count the parameters."""
        return sum(o * i for o, i in self.shapes())


class MLP(nn.Module):
    """Linear layers with a fixed nonlinearity between them.

    The bias is the last column of each weight matrix, as everywhere in ``maths``.
    """

    def __init__(self, weights: list[Tensor], activation: Activation) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(w) for w in weights)
        self.activation: Activation = activation

    def architecture(self) -> Architecture:
        """Describe the network as it is now."""
        return Architecture(
            num_inputs=self.weights[0].shape[1] - 1,
            hidden=tuple(len(w) for w in self.weights[:-1]),
            num_outputs=len(self.weights[-1]),
            activation=self.activation,
        )

    def tensors(self) -> list[Tensor]:
        """List all parameters, in the order that ``rebuild`` takes them."""
        return list(self.weights)

    def nonlinearity(self, z: Tensor) -> Tensor:
        """Apply the activation to pre-activations of any shape."""
        return ACTIVATIONS[self.activation](z)

    def forward(self, x: Tensor) -> Tensor:
        """Compute outputs [n, n_out] from features [n, n_in]."""
        return self.trace(x)[1][-1][:, : len(self.weights[-1])]

    def trace(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Compute every linear layer's inputs and outputs, padded with zeros.

        Args:
            x: Features [n, n_in].

        Returns:
            The inputs (without the constant 1) and the outputs, first layer first,
            each with columns of zeros after the real ones.
        """
        inputs, outputs = [], []
        a = x
        for i, W in enumerate(self.weights):
            z = input_layer(a, W) if i == 0 else hidden_layer(a, W)
            inputs.append(a)
            outputs.append(z)
            a = self.nonlinearity(nn.functional.pad(z, (0, -z.shape[1] % CHUNK)))
        return inputs, outputs


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


def build(architecture: Architecture, generator: torch.Generator) -> MLP:
    """Initialise a network: weights N(0, 1/n_in), biases zero (LeCun et al. 1998).

    Args:
        architecture: What to build.
        generator: Source of the weights; its device is the network's.

    Returns:
        The network.
    """
    weights = []
    for n_out, n_in in architecture.shapes():
        W = torch.zeros(n_out, n_in, device=generator.device)
        scale = (n_in - 1) ** -0.5
        W[:, :-1] = scale * torch.randn(
            n_out, n_in - 1, generator=generator, device=generator.device
        )
        weights.append(W)
    return MLP(weights, architecture.activation)


def rebuild(architecture: Architecture, tensors: list[Tensor]) -> MLP:
    """Make a network from what ``architecture`` and ``tensors`` gave.

    Args:
        architecture: What the network is.
        tensors: Its parameters.
    """
    return MLP(tensors, architecture.activation)


def checksum(net: MLP) -> str:
    """Hash the architecture and the parameters, bit for bit."""
    digest = hashlib.sha256(repr(net.architecture()).encode())
    for W in net.tensors():
        digest.update(W.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def with_constant(a: Tensor) -> Tensor:
    """Append the constant input 1: [n, n_in] -> [n, n_in + 1]."""
    return torch.cat([a, a.new_ones(len(a), 1)], 1)

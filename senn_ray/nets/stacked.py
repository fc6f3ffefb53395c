"""Dense networks of one architecture side by side: one step for all of them.

Every tensor has the networks in its first dimension. Elementwise arithmetic does not
care; matrix products are taken one by one where bits count, because a product of
batches may add in another order than the product of a single network would.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from senn_ray.nets.mlp import CHUNK, GROUP, MLP


class Stack:
    """Networks whose parameters are views of common tensors [S, ...].

    A step of an optimiser on ``tensors`` changes all networks, which can be evaluated
    and copied one by one as ever.
    """

    def __init__(self, nets: Sequence[MLP]) -> None:
        """Move the parameters of the networks into common tensors.

        Args:
            nets: Networks of one architecture; from now on they are views.
        """
        self._like = nets[0]
        rows = zip(*(net.tensors() for net in nets), strict=True)
        self._tensors = [torch.stack([t.detach() for t in row]) for row in rows]
        for number, net in enumerate(nets):
            net.become([t[number] for t in self._tensors], net.layout)
        for tensor in self._tensors:
            tensor.requires_grad_()

    def tensors(self) -> list[Tensor]:
        """List all parameters, each [S, ...]."""
        return self._tensors

    def decayed(self) -> list[bool]:
        """Tell which tensors are weights, as ``Network.decayed`` does."""
        return self._like.decayed()

    def outputs(self, x: Tensor) -> Tensor:
        """Compute the outputs of every network for its own examples.

        Args:
            x: Features [S, n, n_in].

        Returns:
            Outputs [S, n, n_out]; on a CPU the bits of each network alone, and so are
            the gradients. On other devices both agree up to rounding.
        """
        stride = self._like.stride
        weights, shapes = self._tensors[::stride], self._tensors[1::stride]
        z = linear(x, weights[0], is_first=True)
        for layer, W in enumerate(weights[1:]):
            shape = shapes[layer].unbind(2) if stride > 1 else ()
            z = linear(self._activate(z, shape), W, is_first=False)
        return z[:, :, : weights[-1].shape[1]]

    def _activate(self, z: Tensor, shape: Sequence[Tensor]) -> Tensor:
        z = nn.functional.pad(z, (0, -z.shape[2] % CHUNK))
        padded = [
            nn.functional.pad(values, (0, z.shape[2] - values.shape[1]))[:, None]
            for values in shape
        ]
        return self._like.family.apply(z, padded)


def linear(a: Tensor, W: Tensor, *, is_first: bool) -> Tensor:
    """Apply one linear layer of every network, as ``mlp.py`` does.

    Args:
        a: Inputs [S, n, n_in + padding].
        W: Weights [S, n_out, n_in + 1], bias last.
        is_first: Whether these are the inputs of the network, whose sums run over all
            of them at a time.

    Returns:
        Outputs [S, n, n_out + padding].
    """
    return _Linear.apply(a, W, is_first)


class _Linear(torch.autograd.Function):
    """The layer as one operation: autograd would copy for every slice and pad."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, W: Tensor, is_first: bool) -> Tensor:  # noqa: FBT001 - autograd passes no keywords
        columns, bias = (_first if is_first else _later)(W, a.shape[2])
        ctx.save_for_backward(a, columns)
        ctx.chunk, ctx.shape = a.shape[2] if is_first else CHUNK, W.shape
        first, *others = _chunks(a, columns, ctx.chunk)
        result = _times(first[0], first[1].mT).add_(bias[:, None])
        for part, weights in others:
            result += _times(part, weights.mT)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (gradient,) = gradients
        a, columns = ctx.saved_tensors
        to_W = a.new_empty(ctx.shape)
        _, n_out, n_in = ctx.shape
        for number, (part, weights) in enumerate(_chunks(a, columns, ctx.chunk)):
            # The last chunk has columns of padding, which are nobody's.
            place = to_W[:, :, number * ctx.chunk : n_in - 1]
            found = _to_weights(gradient, part, weights)
            place[:, :, : ctx.chunk] = found[:, :n_out, : place.shape[2]]
        to_W[:, :, -1] = gradient.sum(1)[:, :n_out]
        if not ctx.needs_input_grad[0]:
            return None, to_W, None
        to_a = torch.empty_like(a)
        for place, weights in _chunks(to_a, columns, ctx.chunk):
            _times(gradient, weights, out=place)
        return to_a, to_W, None


def _to_weights(gradient: Tensor, a: Tensor, weights: Tensor) -> Tensor:
    """Return the gradient of weights, by the product that autograd would take."""
    if weights[0].is_contiguous():
        return _times(gradient.mT, a)
    return _times(a.mT, gradient).mT


def _first(W: Tensor, n_in: int) -> tuple[Tensor, Tensor]:
    """Split weights and bias of the first layer, padded with rows of zeros."""
    weights = nn.functional.pad(W, (0, 0, 0, -W.shape[1] % GROUP))
    return weights[:, :, :n_in], weights[:, :, -1]


def _later(W: Tensor, n_in: int) -> tuple[Tensor, Tensor]:
    """Split weights and bias, padded with rows and columns of zeros."""
    rows, columns = -W.shape[1] % GROUP, n_in - W.shape[2] + 1
    weights = nn.functional.pad(W[:, :, :-1], (0, columns, 0, rows))
    return weights, nn.functional.pad(W[:, :, -1], (0, rows))


def _chunks(a: Tensor, weights: Tensor, chunk: int) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(a.split(chunk, 2), weights.split(chunk, 2), strict=True)


def _times(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """Multiply network by network, or at once where bits do not count."""
    if out is None:
        out = a.new_empty(len(a), a.shape[1], b.shape[2])
    if a.device.type != "cpu":
        return torch.matmul(a, b, out=out)
    for one, other, place in zip(a.unbind(), b.unbind(), out.unbind(), strict=True):
        torch.mm(one, other, out=place)
    return out

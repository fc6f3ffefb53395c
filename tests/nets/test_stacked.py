"""Networks side by side compute the bits that each computes alone."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from senn_ray.config import Activation
from senn_ray.maths.losses import loss
from senn_ray.nets.mlp import MLP, DenseArchitecture, build
from senn_ray.nets.stacked import Stack

CLASSES = 3


def networks(
    count: int, hidden: tuple[int, ...], num_inputs: int, activation: Activation
) -> list[MLP]:
    architecture = DenseArchitecture(
        num_inputs=num_inputs,
        hidden=hidden,
        num_outputs=CLASSES,
        activation=activation,
    )
    return [
        build(architecture, torch.Generator().manual_seed(seed))
        for seed in range(count)
    ]


def alone(net: MLP, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
    outputs = net(x)
    total = loss(outputs, y, "classification") * len(x)
    return outputs, [*torch.autograd.grad(total, net.tensors())]


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize(
    ("count", "examples", "num_inputs", "hidden"),
    [
        (1, 64, 8, (2,)),
        (2, 2, 1, (1,)),
        (3, 100, 64, (17,)),
        (5, 511, 64, (64,)),
        (3, 512, 784, (8,)),
        (4, 33, 9, (65, 3)),
        (2, 256, 64, (200,)),
        (3, 7, 5, ()),
    ],
)
def test_outputs_and_gradients_are_bitwise_those_of_each_network_alone(
    count: int,
    examples: int,
    num_inputs: int,
    hidden: tuple[int, ...],
    activation: Activation,
) -> None:
    stream = torch.Generator().manual_seed(1)
    x = torch.randn(count, examples, num_inputs, generator=stream)
    y = torch.randint(CLASSES, (count, examples), generator=stream)
    nets = networks(count, hidden, num_inputs, activation)
    expected = [alone(net, *pair) for net, *pair in zip(nets, x, y, strict=True)]
    stack = Stack(nets)
    outputs = stack.outputs(x)
    totals = [
        loss(output, labels, "classification") * examples
        for output, labels in zip(outputs.unbind(), y, strict=True)
    ]
    gradients = torch.autograd.grad(torch.stack(totals).sum(), stack.tensors())
    for number, (output, single) in enumerate(expected):
        assert torch.equal(outputs[number], output)
        for together, own in zip(gradients, single, strict=True):
            assert torch.equal(together[number], own)


def test_the_networks_are_views_of_the_stack() -> None:
    nets = networks(2, (4,), 8, "prelu")
    stack = Stack(nets)
    with torch.no_grad():
        for tensor in stack.tensors():
            tensor.add_(1.0)
    for number, net in enumerate(nets):
        for own, common in zip(net.tensors(), stack.tensors(), strict=True):
            assert torch.equal(own, common[number])
    assert stack.decayed() == nets[0].decayed() == [True, False, True]

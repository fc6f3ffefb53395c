"""Layers that come and go without a jump of the function."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from senn_ray.config import REACHES_IDENTITY, Activation
from senn_ray.growth.candidates import LARGEST_RATIO, initial_mixes
from senn_ray.nets.mlp import MLP, DenseArchitecture, build
from senn_ray.nets.network import LayerIndex
from senn_ray.nets.surgery import Mix, insert_layer, remove_layer


def network(
    hidden: tuple[int, ...], *, num_inputs: int, activation: Activation, seed: int = 0
) -> MLP:
    architecture = DenseArchitecture(
        num_inputs=num_inputs, hidden=hidden, num_outputs=3, activation=activation
    )
    return build(architecture, torch.Generator().manual_seed(seed))


def mix_for(u: torch.Tensor, seed: int) -> Mix:
    generator = torch.Generator().manual_seed(seed)
    return initial_mixes(u, count=2, generator=generator, reduce=lambda t: t)[1]


def narrow(net: MLP, layer: int, x: torch.Tensor) -> torch.Tensor:
    inputs, outputs = net.trace(x)
    W = net.weights[layer]
    n_in = W.shape[1] - 1
    side = inputs[layer][:, :n_in] if n_in <= len(W) else outputs[layer][:, : len(W)]
    return side.detach()


@settings(max_examples=30, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 30), max_size=2).map(tuple),
    num_inputs=st.integers(1, 40),
    layer=st.integers(0, 2),
    activation=st.sampled_from(REACHES_IDENTITY),
    double=st.booleans(),
)
def test_an_inserted_layer_keeps_the_function_near_and_far(
    hidden, num_inputs: int, layer: int, activation: Activation, double: bool
) -> None:
    net = network(hidden, num_inputs=num_inputs, activation=activation)
    x = torch.randn(64, num_inputs, generator=torch.Generator().manual_seed(1))
    if double:
        net, x = net.double(), x.double()
    layer = min(layer, len(hidden))
    mix = mix_for(narrow(net, layer, x), seed=2)
    far = torch.cat([x, 10 * x])
    before = net(far)
    W = net.weights[layer]
    change = insert_layer(net, layer, mix)
    width = min(W.shape[1] - 1, len(W))
    assert net.architecture().hidden == (*hidden[:layer], width, *hidden[layer:])
    assert [tuple(t.shape) for t in change.reshape(
        network(hidden, num_inputs=num_inputs, activation=activation).tensors()
    )] == [tuple(t.shape) for t in net.tensors()]  # fmt: skip
    tolerance = (1e-9 if double else 1e-5) * before.abs().max().item()
    torch.testing.assert_close(net(far), before, rtol=0, atol=tolerance)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_maps_of_new_layers_are_well_conditioned(scale: float) -> None:
    generator = torch.Generator().manual_seed(3)
    u = scale * torch.randn(200, 12, generator=generator) * torch.logspace(-3, 0, 12)
    u[:, 4] = 0.0
    mixes = initial_mixes(u, count=5, generator=generator, reduce=lambda t: t)
    for mix in mixes:
        values = torch.linalg.svdvals(mix.B)
        assert values[0] / values[-1] <= LARGEST_RATIO**2 * (1 + 1e-4)
        spread = mix(u).std(0)
        assert 0.05 < spread.square().mean().sqrt() < 20
    assert not torch.allclose(mixes[1].B, mixes[2].B)


def test_the_maps_do_not_depend_on_the_signs_of_an_eigenbasis() -> None:
    u = torch.randn(100, 5, generator=torch.Generator().manual_seed(4)).double()
    first = mix_for(u, seed=5)
    flipped = mix_for(u.flip(0) * 1.0, seed=5)
    torch.testing.assert_close(first.B, flipped.B, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("activation", REACHES_IDENTITY)
def test_an_inserted_layer_is_removed_without_a_trace(activation: Activation) -> None:
    net = network((6,), num_inputs=4, activation=activation).double()
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(6)).double()
    before = net(x)
    insert_layer(net, 0, mix_for(narrow(net, 0, x), seed=7))
    assert net.architecture().hidden == (4, 6)
    # At the identity the activations are the linear map itself.
    remove_layer(net, 0, net.weights[0].detach())
    assert net.architecture().hidden == (6,)
    torch.testing.assert_close(net(x), before, rtol=1e-9, atol=1e-9)


def test_the_new_parameters_can_move_at_once() -> None:
    net = network((), num_inputs=4, activation="rational").double()
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(8)).double()
    insert_layer(net, 0, mix_for(narrow(net, 0, x), seed=9))
    shape = net.tensors()[1]
    assert net.locate(LayerIndex(0, 0)).shape == 1
    (slope,) = torch.autograd.grad(net(x).square().sum(), shape)
    assert (slope[:, 1:].abs() > 1e-6).all()


def test_a_nonlinearity_that_cannot_be_the_identity_takes_no_layer() -> None:
    net = network((5,), num_inputs=4, activation="silu")
    with pytest.raises(ValueError, match="silu cannot be the identity"):
        insert_layer(net, 0, Mix(torch.eye(4), torch.zeros(4)))

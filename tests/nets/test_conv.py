"""Convolutional networks: the function and its surgery."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from senn_ray.maths.losses import loss
from senn_ray.maths.removal import compensation
from senn_ray.nets.activations import FAMILIES
from senn_ray.nets.make import describe, from_values, rebuild
from senn_ray.nets.network import LayerIndex
from senn_ray.nets.observe import Look, observe
from senn_ray.nets.surgery import insert_block, prune, remove_block, widen
from tests.nets.conv_examples import data, network

EYE = torch.eye


@settings(max_examples=20, deadline=None)
@given(
    blocks=st.lists(
        st.lists(st.integers(1, 5), max_size=3).map(tuple), min_size=1, max_size=3
    ).map(tuple),
    patch=st.sampled_from([1, 2]),
    activation=st.sampled_from(list(FAMILIES)),
)
def test_a_network_describes_what_built_it(blocks, patch, activation) -> None:
    net = network(blocks, image=(3, 8, 8), patch=patch, activation=activation)
    architecture = net.architecture()
    assert architecture.blocks == blocks
    assert architecture.num_params() == sum(t.numel() for t in net.tensors())
    again = rebuild(from_values(describe(net)), net.tensors())
    x, _ = data(net)
    assert torch.equal(again(x), net(x))


def test_multiply_adds_are_those_of_the_convolutions() -> None:
    net = network(((3,), (4,)))
    # Stem, U and V at 24 positions; the map between, U and V at 6; the head.
    first = 4 * (9 * 2 + 1) + 3 * (9 * 4 + 1) + 4 * (3 + 1)
    second = 5 * (4 + 1) + 4 * (9 * 5 + 1) + 5 * (4 + 1)
    expected = 24 * first + 6 * second + 3 * (5 + 1)
    assert net.architecture().multiply_adds() == expected


def test_the_network_is_its_explicit_sums() -> None:
    net = network(((3,),), image=(1, 2, 2))
    x, _ = data(net)
    stem, U, V, head = net.tensors()
    taps = [(i, j) for i in range(3) for j in range(3)]

    def convolve(
        stream: dict[tuple[int, int], Tensor], W: Tensor, at: tuple[int, int]
    ) -> Tensor:
        zero = torch.zeros_like(stream[0, 0])
        seen = [stream.get((at[0] + i - 1, at[1] + j - 1), zero) for i, j in taps]
        rows = torch.stack(seen, 1)
        return W[:, :-1] @ rows.flatten() + W[:, -1]

    for one, result in zip(x, net(x), strict=True):
        places = [(0, 0), (0, 1), (1, 0), (1, 1)]
        image = {at: one[2 * at[0] + at[1]][None] for at in places}
        stream = {at: convolve(image, stem, at) for at in places}
        end = []
        for at in places:
            hidden = torch.nn.functional.silu(convolve(stream, U, at))
            end.append(stream[at] + V[:, :-1] @ hidden + V[:, -1])
        expected = head[:, :-1] @ torch.stack(end).mean(0) + head[:, -1]
        torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ["silu", "rational", "prelu"])
@pytest.mark.parametrize("stage", [0, 1])
def test_an_inserted_block_changes_nothing_but_can_learn(activation, stage) -> None:
    net = network(activation=activation)
    x, y = data(net)
    before = net(x).detach()
    counts = list(net.layout)
    generator = torch.Generator().manual_seed(3)
    c = net.architecture().channels[stage]
    fan_in = torch.randn(9 * c + 1, generator=generator).double()
    change = insert_block(net, stage, fan_in)
    counts[stage] += 1
    assert net.layout == tuple(counts)
    assert change.site == (2 if stage == 0 else 3)
    torch.testing.assert_close(net(x).detach(), before, rtol=0, atol=1e-12)
    fan_out = net.locate(LayerIndex(stage, net.layout[stage] - 1)).columns
    total = loss(net(x), y, "classification")
    gradient = torch.autograd.grad(total, net.tensors())[fan_out]
    assert gradient[:, 0].abs().max() > 1e-6


def test_a_new_channel_changes_nothing_and_its_gradient_is_the_captured_one() -> None:
    net = network()
    x, y = data(net)
    place = LayerIndex(0, 1)
    seen = observe(net, x, y, "classification")
    view = next(v for v in seen.views if v.place == place)
    layer = seen.captured.layers[view.layer]
    before = net(x).detach()
    fan_in = torch.randn(37, generator=torch.Generator().manual_seed(3)).double()
    widen(net, place, fan_in)
    torch.testing.assert_close(net(x).detach(), before, rtol=0, atol=1e-12)
    total = loss(net(x), y, "classification")
    gradient = torch.autograd.grad(total, net.tensors())[net.locate(place).columns]
    c = torch.nn.functional.silu(view.features @ fan_in[:-1] + fan_in[-1])
    torch.testing.assert_close(gradient[:, -2], layer.gradients.T @ c / len(x))


def test_a_view_of_a_new_block_sees_what_the_block_will_see() -> None:
    net = network()
    x, y = data(net)
    views = observe(net, x, y, "classification", look=Look(depth_cap=3)).views
    new = [v for v in views if v.is_new]
    assert [v.place for v in new] == [LayerIndex(0, 2), LayerIndex(1, 1)]
    fan_in = torch.randn(37, generator=torch.Generator().manual_seed(3)).double()
    insert_block(net, 0, fan_in)
    hidden = net.trace(x).blocks[LayerIndex(0, 2)].hidden
    c = torch.nn.functional.silu(new[0].features @ fan_in[:-1] + fan_in[-1])
    torch.testing.assert_close(hidden.movedim(1, -1).flatten(), c)


def test_removing_a_block_keeps_its_mean() -> None:
    net = network()
    x, _ = data(net)
    with torch.no_grad():
        rows = net.locate(LayerIndex(0, 1)).rows
        net.parts[rows][:, :-1] = 0  # Its channels are constant.
    before = net(x).detach()
    hidden = net.trace(x).blocks[LayerIndex(0, 1)].hidden.detach()
    change = remove_block(net, LayerIndex(0, 1), hidden.mean((0, 2, 3)))
    assert net.layout == (1, 1)
    assert not change.is_insertion
    torch.testing.assert_close(net(x).detach(), before, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("place", [LayerIndex(0, 0), LayerIndex(1, 0)])
def test_the_first_block_of_a_stage_leaves_its_mean_in_what_leads_there(place) -> None:
    net = network(((2,), (3,)))
    x, _ = data(net)
    with torch.no_grad():
        net.parts[net.locate(place).rows][:, :-1] = 0
    before = net(x).detach()
    mean = net.trace(x).blocks[place].hidden.detach().mean((0, 2, 3))
    remove_block(net, place, mean)
    torch.testing.assert_close(net(x).detach(), before, rtol=1e-12, atol=1e-12)


def test_pruning_a_duplicate_channel_keeps_the_function() -> None:
    net = network()
    x, y = data(net, 20)
    place = LayerIndex(0, 0)
    parts = net.locate(place)
    widen(net, place, net.tensors()[parts.rows][1].detach().clone())
    with torch.no_grad():
        net.parts[parts.columns][:, 3] = 0.5
    before = net(x).detach()
    layer = observe(net, x, y, "classification").captured.layers[0]
    A = layer.inputs.T @ layer.inputs / 20 + 1e-10 * EYE(5).double()
    columns = net.tensors()[parts.columns]
    prune(net, place, 1, compensation(columns, torch.linalg.inv(A), 1))
    assert net.architecture().blocks[0] == (3, 2)
    torch.testing.assert_close(net(x).detach(), before, rtol=0, atol=1e-6)

"""Networks that change size: the function, its statistics and its surgery."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from senn_ray.config import Activation
from senn_ray.maths.losses import Task, loss
from senn_ray.maths.removal import compensation
from senn_ray.nets.activations import FAMILIES
from senn_ray.nets.capture import capture
from senn_ray.nets.mlp import MLP, DenseArchitecture, build
from senn_ray.nets.network import LayerIndex, checksum
from senn_ray.nets.surgery import Prune, Widen, prune, widen

FIRST = LayerIndex(0, 0)


def network(
    hidden: tuple[int, ...],
    *,
    num_inputs: int = 5,
    seed: int = 0,
    activation: Activation = "silu",
) -> MLP:
    architecture = DenseArchitecture(
        num_inputs=num_inputs, hidden=hidden, num_outputs=3, activation=activation
    )
    return build(architecture, torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 70), min_size=0, max_size=3).map(tuple),
    num_inputs=st.integers(1, 20),
    activation=st.sampled_from(list(FAMILIES)),
)
def test_a_network_describes_what_built_it(
    hidden: tuple[int, ...], num_inputs: int, activation: Activation
) -> None:
    net = network(hidden, num_inputs=num_inputs, activation=activation)
    architecture = net.architecture()
    assert architecture.hidden == hidden
    assert architecture.num_inputs == num_inputs
    assert architecture.num_params() == sum(t.numel() for t in net.tensors())


@pytest.mark.parametrize("activation", list(FAMILIES))
def test_the_padded_network_is_the_plain_one(activation) -> None:
    net = network((7, 70), activation=activation).double()
    x = torch.randn(9, 5, generator=torch.Generator().manual_seed(1)).double()
    a = x
    for i, W in enumerate(net.weights):
        a = a if i == 0 else net.family.apply(a, net.shape(LayerIndex(0, i - 1)))
        a = a @ W[:, :-1].T + W[:, -1]
    torch.testing.assert_close(net(x), a, rtol=1e-12, atol=1e-12)


@settings(max_examples=80, deadline=None)
@given(
    width=st.integers(1, 140),
    n=st.sampled_from([1, 2, 7, 33, 512]),
    num_inputs=st.sampled_from([3, 64, 784]),
    activation=st.sampled_from(list(FAMILIES)),
)
def test_widening_leaves_the_outputs_bitwise_equal(
    width: int, n: int, num_inputs: int, activation
) -> None:
    net = network((width,), num_inputs=num_inputs, activation=activation)
    generator = torch.Generator().manual_seed(n)
    x = 10 * torch.randn(n, num_inputs, generator=generator)
    before = net(x)
    widen(net, FIRST, torch.randn(num_inputs + 1, generator=generator))
    assert net.architecture().hidden == (width + 1,)
    assert torch.equal(net(x), before)


def test_widening_keeps_old_gradients_and_gives_the_new_fan_out_one() -> None:
    net = network((4, 6)).double()
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(8, 5, generator=generator).double()
    y = torch.randint(0, 3, (8,), generator=generator)
    fan_in = torch.randn(6, generator=generator).double()

    def gradients() -> list[torch.Tensor]:
        total = loss(net(x), y, "classification")
        return list(torch.autograd.grad(total, list(net.weights)))

    before = gradients()
    widen(net, FIRST, fan_in)
    after = gradients()
    torch.testing.assert_close(after[0][:-1], before[0], rtol=1e-12, atol=1e-12)
    old = torch.cat([after[1][:, :4], after[1][:, -1:]], 1)
    torch.testing.assert_close(old, before[1], rtol=1e-12, atol=1e-12)
    # The new fan-out's gradient is E[g c].
    g = capture(net, x, y, "classification").layers[1].gradients
    c = torch.nn.functional.silu(x @ fan_in[:-1] + fan_in[-1])
    torch.testing.assert_close(after[1][:, 4], g.T @ c / 8)
    assert after[1][:, 4].abs().max() > 1e-4


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_captured_statistics_are_those_of_an_explicit_jacobian(task: Task) -> None:
    net = network((4, 3)).double()
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(6, 5, generator=generator).double()
    y = (
        torch.randint(0, 3, (6,), generator=generator)
        if task == "classification"
        else torch.randn(6, 3, generator=generator).double()
    )
    captured = capture(net, x, y, task)
    weights = list(net.weights)
    expected = torch.autograd.grad(loss(net(x), y, task), weights)
    for index, layer in enumerate(captured.layers):
        dW = layer.gradients.T @ layer.inputs / 6
        torch.testing.assert_close(dW, expected[index])
        # G is the sum over examples of the Gauss-Newton matrix of the layer's bias.
        G = torch.zeros_like(layer.curvature)
        for one in x:
            J = torch.func.jacrev(_outputs_of_bias(net, index, one))(
                torch.zeros(len(weights[index])).double()
            )
            H = torch.autograd.functional.hessian(
                lambda z: loss(z[None], y[:1], task), net(one[None])[0].detach()
            )
            G += J.T @ H @ J
        torch.testing.assert_close(layer.curvature, G)


def _outputs_of_bias(net: MLP, index: int, x: torch.Tensor):
    def outputs(shift: torch.Tensor) -> torch.Tensor:
        a = x
        for i, W in enumerate(net.weights):
            a = a if i == 0 else torch.nn.functional.silu(a)
            a = W[:, :-1] @ a + W[:, -1] + (shift if i == index else 0.0)
        return a

    return outputs


def test_capture_from_a_later_layer_gives_the_same_layers() -> None:
    net = network((4, 3))
    x, y = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), torch.ones(6)
    everything = capture(net, x, y.long(), "classification").layers
    later = capture(net, x, y.long(), "classification", first=2).layers
    assert len(later) == 1
    torch.testing.assert_close(later[0].inputs, everything[2].inputs)
    torch.testing.assert_close(later[0].curvature, everything[2].curvature)


def test_pruning_a_duplicate_keeps_the_function() -> None:
    net = network((4,)).double()
    x = torch.randn(50, 5, generator=torch.Generator().manual_seed(4)).double()
    widen(net, FIRST, net.weights[0][1].detach().clone())
    with torch.no_grad():
        net.weights[1][:, 4] = 0.5
    before = net(x)
    inputs = capture(net, x, torch.zeros(50).long(), "classification").layers[1].inputs
    A = inputs.T @ inputs / 50 + 1e-10 * torch.eye(6).double()
    prune(net, FIRST, 1, compensation(net.weights[1], torch.linalg.inv(A), 1))
    assert net.architecture().hidden == (4,)
    torch.testing.assert_close(net(x), before, rtol=0, atol=1e-7)


def test_surgery_carries_what_is_shaped_like_the_weights() -> None:
    net = network((3, 2))
    state = [torch.rand_like(w) for w in net.weights]
    parts = net.locate(FIRST)
    wider = Widen(0, parts).reshape(state)
    assert [t.shape for t in wider] == [(4, 6), (2, 5), (3, 3)]
    assert torch.equal(wider[0][:3], state[0])
    assert wider[0][3].abs().sum() == 0
    assert wider[1][:, 3].abs().sum() == 0
    assert torch.equal(wider[1][:, 4], state[1][:, 3])
    back = Prune(0, parts, 3).reshape(wider)
    assert all(torch.equal(a, b) for a, b in zip(back, state, strict=True))


def test_the_checksum_sees_every_bit_of_the_weights() -> None:
    net, same = network((3,)), network((3,))
    assert checksum(net) == checksum(same)
    with torch.no_grad():
        same.weights[1][0, 0] = torch.nextafter(
            same.weights[1][0, 0], torch.tensor(1.0)
        )
    assert checksum(net) != checksum(same)

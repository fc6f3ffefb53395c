"""The laws of optimisers."""

import copy

import pytest
import torch

from senn_ray.nets.network import LayerIndex
from senn_ray.nets.surgery import widen
from senn_ray.runs.loop import train_step
from senn_ray.runs.run import prepare
from senn_ray.training.natural import Natural
from senn_ray.training.optimizers import AdamW
from senn_ray.training.reducer import SingleReducer
from senn_ray.training.run_state import RunState
from tests.training.problems import rings, spec, tensors_equal


@pytest.mark.parametrize("optimizer", ["adamw", "natural"])
@pytest.mark.parametrize("steps", [1, 13])
def test_an_optimizer_goes_on_from_its_state_bit_for_bit(
    optimizer: str, steps: int
) -> None:
    raw = rings()

    def fresh():
        settings = spec(train__optimizer=optimizer)
        return prepare(settings, raw, reducer=SingleReducer(), device="cpu")

    first, second = fresh(), fresh()
    for step in range(steps):
        train_step(first, step, 0.01)
    second.net = copy.deepcopy(first.net)
    second.optimizer.restore(copy.deepcopy(first.optimizer.state()))
    for step in range(steps, 2 * steps):
        train_step(first, step, 0.01)
        train_step(second, step, 0.01)
    assert tensors_equal(first.net.tensors(), second.net.tensors())


def started(optimizer: str, steps: int) -> RunState:
    settings = spec(train__optimizer=optimizer, model__hidden=(4,))
    run = prepare(settings, rings(), reducer=SingleReducer(), device="cpu")
    for step in range(steps):
        train_step(run, step, 0.01)
    return run


def added(optimizer: str, steps: int) -> RunState:
    run = started(optimizer, steps)
    fan_in = torch.linspace(-1, 1, 9)
    run.optimizer.reshape(widen(run.net, LayerIndex(0, 0), fan_in))
    return run


def test_old_parameters_do_not_notice_an_addition() -> None:
    """The next update of AdamW is bitwise the one without it; new entries start new."""
    plain, larger = started("adamw", 7), added("adamw", 7)
    gradients = [torch.ones_like(t) for t in plain.net.tensors()]
    others = [torch.ones_like(t) for t in larger.net.tensors()]
    plain.optimizer.step(plain.net, gradients, 0.01, 0.1)
    larger.optimizer.step(larger.net, others, 0.01, 0.1)
    W, V = plain.net.tensors()
    W_new, V_new = larger.net.tensors()
    assert torch.equal(W_new[:4], W)
    assert torch.equal(V_new[:, :4], V[:, :4])
    assert torch.equal(V_new[:, 5], V[:, 4])
    state = larger.optimizer.state()
    weights = state["second_weight"][1]
    torch.testing.assert_close(weights[:, 4], torch.full((3,), 1 - 0.999))
    torch.testing.assert_close(weights[:, 0], torch.full((3,), 1 - 0.999**8))
    # The first step of Adam has the length of the learning rate, whatever the gradient.
    torch.testing.assert_close(V_new[:, 4], torch.full((3,), -0.01))


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_adamw_takes_the_steps_of_torch(decay: float) -> None:
    net = started("adamw", 0).net
    copied = copy.deepcopy(net).double()
    ours, tensors = AdamW(net.double()), copied.tensors()
    theirs = torch.optim.AdamW(tensors, lr=0.01, weight_decay=0.0)
    stream = torch.Generator().manual_seed(0)
    for _ in range(50):
        gradients = [
            torch.randn(t.shape, generator=stream, dtype=t.dtype) for t in tensors
        ]
        for tensor, gradient in zip(tensors, gradients, strict=True):
            tensor.grad = gradient.clone()
            # Theirs would let biases decay, too.
            tensor.detach()[:, :-1].mul_(1 - 0.01 * decay)
        theirs.step()
        ours.step(net, gradients, 0.01, decay)
    for own, other in zip(net.tensors(), tensors, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["adamw", "natural"])
def test_a_step_takes_its_own_share_of_the_weights_and_none_of_the_biases(
    optimizer: str,
) -> None:
    plain, smaller = started(optimizer, 7), started(optimizer, 7)
    before = [t.detach().clone() for t in plain.net.tensors()]
    gradients = [torch.ones_like(t) for t in before]
    plain.optimizer.step(plain.net, gradients, 0.01, 0.0)
    smaller.optimizer.step(smaller.net, gradients, 0.01, 5.0)
    tensors = zip(plain.net.tensors(), smaller.net.tensors(), before, strict=True)
    for full, less, old in tensors:
        assert torch.equal(full[:, -1], less[:, -1])
        torch.testing.assert_close((full - less)[:, :-1], 0.05 * old[:, :-1])


def test_running_factors_are_carried_over_an_addition() -> None:
    """The old block is what it was; of the new neuron nothing is known yet."""
    plain, larger = started("natural", 12), added("natural", 12)
    assert isinstance(plain.optimizer, Natural)
    assert isinstance(larger.optimizer, Natural)
    A, G = plain.optimizer.A[1], plain.optimizer.G[0]
    A_new, G_new = larger.optimizer.A[1], larger.optimizer.G[0]
    old = torch.tensor([0, 1, 2, 3, 5])
    assert torch.equal(A_new[old][:, old], A)
    assert torch.equal(G_new[:4, :4], G)
    assert A_new[4].abs().sum() == G_new[4].abs().sum() == 0
    assert torch.equal(larger.optimizer.A[0], plain.optimizer.A[0])
    # Measured again before the next step, on the larger network.
    train_step(larger, 12, 0.01)
    assert larger.optimizer.A[1][4, 4] > 0

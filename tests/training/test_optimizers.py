"""The laws of optimisers."""

import copy

import pytest

from senn_ray.tasks import prepare
from senn_ray.training.loop import train_step
from senn_ray.training.reducer import SingleReducer
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

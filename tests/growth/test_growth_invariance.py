"""What must not matter to a growth check, and that every nonlinearity serves it."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from senn_ray.data.examples import RawData
from senn_ray.growth.candidates import Search
from senn_ray.growth.checks import check_growth
from senn_ray.growth.measure import Draw, draw
from senn_ray.nets.activations import FAMILIES
from senn_ray.nets.mlp import dense
from senn_ray.runs.run import prepare
from senn_ray.training.reducer import SingleReducer
from tests.training.problems import gains, rings, spec, trained, waves, what


def scaled(raw: RawData, factor: float) -> RawData:
    return dataclasses.replace(
        raw,
        train_y=(factor * raw.train_y).astype(np.float32),
        test_y=(factor * raw.test_y).astype(np.float32),
    )


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_unit_of_the_loss_changes_no_decision(factor: float) -> None:
    """Targets and outputs times c are a loss times c²: so are gains and thresholds."""
    run_spec = spec(
        model__hidden=(3,), growth__damping=1e-6, train__precision="float64"
    )
    plain = trained(run_spec, waves())
    other = prepare(
        run_spec, scaled(waves(), factor), reducer=SingleReducer(), device="cpu"
    )
    tensors = plain.net.tensors()
    other.net.become([tensors[0], factor * tensors[1]], plain.net.layout)
    first, second = check_growth(plain, 40), check_growth(other, 40)
    assert first.additions > 0
    assert what(first) == what(second)
    assert gains(second) == pytest.approx(
        [factor**2 * gain for gain in gains(first)], rel=1e-2
    )


def test_the_order_of_neurons_changes_no_decision() -> None:
    run_spec = spec(model__hidden=(5,))
    plain = trained(run_spec, rings())
    other = trained(run_spec, rings())
    order = torch.tensor([3, 0, 4, 1, 2])
    W, V = plain.net.tensors()
    columns = torch.cat([V[:, :-1][:, order], V[:, -1:]], 1)
    other.net.become([W[order], columns], plain.net.layout)
    first, second = check_growth(plain, 40), check_growth(other, 40)
    assert first.additions > 0
    assert what(first) == what(second)
    assert gains(second) == pytest.approx(gains(first), rel=1e-2)
    new = [dense(r.net).weights[0][5:] for r in (plain, other)]
    torch.testing.assert_close(new[0], new[1], rtol=1e-2, atol=1e-3)


def test_the_order_of_examples_changes_no_decision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shuffled(*args: Any, **options: Any) -> Draw:
        drawn = draw(*args, **options)
        order = torch.randperm(len(drawn.examples))
        place = order.argsort()
        return dataclasses.replace(
            drawn,
            examples=drawn.examples[order],
            divisions=[(place[a], place[b]) for a, b in drawn.divisions],
        )

    run_spec = spec(train__precision="float64", growth__curvature="exact")
    run = trained(run_spec, rings())
    torch.manual_seed(0)
    plain = check_growth(run, 40)
    run = trained(run_spec, rings())
    # Measured once, from the first examples of the first decision.
    Search(run, 40)
    monkeypatch.setattr("senn_ray.growth.candidates.draw", shuffled)
    other = check_growth(run, 40)
    assert plain.additions > 0
    assert what(plain) == what(other)
    assert gains(other) == pytest.approx(gains(plain), rel=1e-6)


def test_decisions_look_at_other_examples_each_time() -> None:
    run = trained(spec(), rings())
    first, second = (draw(run, "decision", step) for step in (1, 2))
    assert not torch.equal(first.examples, second.examples)


@pytest.mark.parametrize("activation", FAMILIES)
def test_every_nonlinearity_widens_without_changing_the_function(
    activation: str,
) -> None:
    run = trained(spec(model__activation=activation), rings())
    x, _ = run.train.batch(torch.arange(50))
    before, width = run.net(x), run.hidden[0]
    check = check_growth(run, 40)
    assert {event.kind for event in check.events} <= {"widen", "rejected"}
    assert run.hidden[0] == width + check.additions > width
    torch.testing.assert_close(run.net(x), before)

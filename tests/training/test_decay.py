"""Weight decay follows the validation loss: up where smaller weights would be better,
down where larger ones would."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from senn_ray.config import TrainConfig
from senn_ray.core.records import RunRecord
from senn_ray.data.examples import RawData
from senn_ray.maths.losses import loss
from senn_ray.runs.loop import train, train_step
from senn_ray.runs.run import prepare, train_run
from senn_ray.training import decay as rule
from senn_ray.training.decay import (
    TRIAL,
    Slope,
    followed,
    looks,
    next_decay,
    shrunk,
    slope,
    starting_decay,
)
from senn_ray.training.evaluate import evaluate
from senn_ray.training.reducer import SingleReducer
from senn_ray.training.run_state import RunState
from tests.training.problems import rings, schedule_of, spec, tensors_equal, waves

RAW = rings()
SHARE = 1 / 40
"""Steps between two choices of decay, over those of a plain run."""


def trained(steps: int = 60, raw: RawData = RAW, **changes: object) -> RunState:
    settings = spec(**{
        "model__hidden": (6,),
        "train__precision": "float64",
        "train__weight_decay": None,
        **changes,
    })
    run = prepare(settings, raw, reducer=SingleReducer(), device="cpu")
    for step in range(steps):
        train_step(run, step, 0.01)
    return run


def radial(run: RunState, indices: Tensor) -> float:
    """The derivative of the loss along the weights, by autograd."""
    net = run.net
    x, y = run.val.batch(indices)
    gradients = torch.autograd.grad(loss(net(x), y, run.task), net.tensors())
    return sum(
        (g * w)[:, :-1].sum().item()
        for g, w in zip(gradients, net.tensors(), strict=True)
    )


def decays_of(record: RunRecord) -> list[float]:
    return [e.weight_decay for e in record.evaluations if e.weight_decay is not None]


def scale_weights(run: RunState, factor: float) -> None:
    with torch.no_grad():
        for W in run.net.tensors():
            W[:, :-1] *= factor


@pytest.mark.parametrize("raw", [RAW, waves()], ids=["classification", "regression"])
@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_the_slope_is_the_derivative_along_the_weights(
    scale: float, raw: RawData
) -> None:
    run = trained(raw=raw)
    scale_weights(run, scale)
    here = evaluate(run, run.net, run.val).loss
    found = slope(run, here)
    each = [radial(run, torch.tensor([i])) for i in range(len(run.val))]
    values = torch.tensor(each, dtype=torch.float64) / here
    assert found.value == pytest.approx(values.mean().item(), rel=0.1, abs=3e-3)
    error = values.std(correction=0).item() / len(each) ** 0.5
    assert found.error == pytest.approx(error, rel=0.1, abs=1e-3)


@pytest.mark.parametrize(("scale", "rises"), [(0.3, False), (10.0, True)])
def test_decay_rises_only_if_smaller_weights_would_be_better(
    scale: float, *, rises: bool
) -> None:
    run = trained()
    scale_weights(run, scale)
    run.weight_decay = 0.5
    moved = next_decay(run, evaluate(run, run.net, run.val).loss, SHARE)
    assert (moved > 0.5) == rises
    assert moved != 0.5


def test_decay_stays_within_its_bounds_and_moves_evenly() -> None:
    decay = 0.01
    for _ in range(40):
        decay = followed(decay, Slope(100.0, 0.0), SHARE)
    assert decay == pytest.approx(0.01 * rule.SPEED)
    for slope_, bound in ((100.0, rule.BOUNDS[1]), (-100.0, rule.BOUNDS[0])):
        for _ in range(240):
            decay = followed(decay, Slope(slope_, 0.0), SHARE)
        assert decay == bound
    steps = [followed(1.0, Slope(s, 0.0), SHARE) for s in (0.02, 0.04)]
    assert steps[1] == pytest.approx(steps[0] ** 2)


def test_decay_falls_more_slowly_than_it_rises() -> None:
    up, down = (followed(1.0, Slope(s, 0.0), SHARE) for s in (0.05, -0.05))
    assert down == pytest.approx(up**-rule.FALL)


@pytest.mark.parametrize("value", [0.05, -0.05])
def test_an_unsure_slope_moves_less(value: float) -> None:
    moves = [
        abs(math.log(followed(1.0, Slope(value, error), SHARE)))
        for error in (0.0, 0.05, 0.5, 5.0)
    ]
    assert moves == sorted(moves, reverse=True)
    assert moves[1] == pytest.approx(moves[0] / 2)
    assert moves[3] < moves[0] / 1000
    assert followed(1.0, Slope(0.0, 0.0), SHARE) == 1.0


@pytest.mark.parametrize(
    ("inputs", "examples", "begins"),
    [(784, 100, 3.0), (64, 1280, 0.5), (5, 100_000, 0.01), (20, 1000, 0.2)],
)
def test_decay_begins_by_inputs_over_examples(
    inputs: int, examples: int, begins: float
) -> None:
    assert starting_decay(TrainConfig(), inputs, examples) == pytest.approx(begins)
    fixed = TrainConfig(weight_decay=0.7)
    assert starting_decay(fixed, inputs, examples) == 0.7


def test_a_trial_changes_no_network() -> None:
    run = trained()
    before = copy.deepcopy(run.net.tensors())
    smaller: list[Tensor] = shrunk(run.net).tensors()
    assert tensors_equal(run.net.tensors(), before)
    for W, own in zip(smaller, before, strict=True):
        assert torch.equal(W[:, -1], own[:, -1])
        torch.testing.assert_close(W[:, :-1], own[:, :-1] * (1 - TRIAL))


@pytest.mark.parametrize("given", [0.0, 0.5])
def test_a_decay_that_is_given_is_held_fixed_and_costs_nothing(given: float) -> None:
    run = trained(steps=1, train__weight_decay=given)
    before = run.ledger.sample_visits
    assert next_decay(run, 1.0, SHARE) == given
    assert run.ledger.sample_visits == before
    record = train_run(spec(kind="fixed", train__weight_decay=given), RAW)
    assert set(decays_of(record)) == {given}


def test_a_trial_is_counted() -> None:
    run = trained(steps=1)
    before = run.ledger.sample_visits
    loss_here = evaluate(run, run.net, run.val).loss
    looked = run.ledger.sample_visits - before
    next_decay(run, loss_here, SHARE)
    assert run.ledger.sample_visits - before == looks(run.spec.train) * looked


@pytest.mark.parametrize("optimizer", ["adamw", "natural"])
@pytest.mark.parametrize("kind", ["fixed", "grow"])
def test_a_run_that_memorises_decays_more(kind: str, optimizer: str) -> None:
    """Few examples with random labels: the surer, the worse."""
    raw = rings(60, seed=1)
    raw.train_y[:] = np.random.default_rng(3).permutation(raw.train_y)
    settings = spec(
        kind=kind,
        model__hidden=(20,),
        train__optimizer=optimizer,
        train__weight_decay=None,
        data__val_per_class=5,
    )
    decays = decays_of(train_run(settings, raw))
    assert decays[0] == pytest.approx(starting_decay(settings.train, 8, 45))
    assert decays[-1] > 3 * decays[0]


def test_a_run_that_could_learn_more_decays_less() -> None:
    """A decay that is far too strong at the start: then it falls."""
    settings = spec(kind="fixed", model__hidden=(20,), train__weight_decay=None)
    run = prepare(settings, RAW, reducer=SingleReducer(), device="cpu")
    run.weight_decay = 3.0
    trace = train(run, schedule_of(run), None)
    decays = [e.weight_decay for e in trace.evaluations if e.weight_decay is not None]
    assert decays[-1] < 3.0 / 2

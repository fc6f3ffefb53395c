"""Weight decay follows the validation loss: up where smaller weights would be better."""

import copy

import pytest
import torch
from torch import Tensor

from senn_ray.config import TrainConfig
from senn_ray.core.records import RunRecord
from senn_ray.data.examples import RawData
from senn_ray.maths.losses import loss
from senn_ray.runs.loop import train_step
from senn_ray.runs.run import prepare, train_run
from senn_ray.training.decay import TRIAL, followed, next_decay, shrunk
from senn_ray.training.evaluate import evaluate
from senn_ray.training.reducer import SingleReducer
from senn_ray.training.run_state import RunState
from tests.training.problems import rings, spec, tensors_equal, waves

RAW = rings()


def trained(steps: int = 60, **changes: object) -> RunState:
    settings = spec(model__hidden=(6,), train__precision="float64", **changes)
    run = prepare(settings, RAW, reducer=SingleReducer(), device="cpu")
    for step in range(steps):
        train_step(run, step, 0.01)
    return run


def radial(run: RunState) -> float:
    """The derivative of the validation loss along the weights, by autograd."""
    net, val = run.net, run.val
    x, y = val.batch(torch.arange(len(val)))
    gradients = torch.autograd.grad(loss(net(x), y, "classification"), net.tensors())
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


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_the_trial_measures_the_derivative_along_the_weights(scale: float) -> None:
    run = trained()
    scale_weights(run, scale)
    here = evaluate(run, run.net, run.val).loss
    smaller = evaluate(run, shrunk(run.net), run.val).loss
    assert (here - smaller) / TRIAL == pytest.approx(radial(run), rel=0.1, abs=1e-3)


@pytest.mark.parametrize(("scale", "rises"), [(0.3, False), (10.0, True)])
def test_decay_rises_only_if_smaller_weights_would_be_better(
    scale: float, *, rises: bool
) -> None:
    run = trained()
    scale_weights(run, scale)
    run.weight_decay = 0.5
    moved = next_decay(run, evaluate(run, run.net, run.val).loss)
    assert (moved > 0.5) == rises
    assert moved != 0.5


def test_decay_stays_within_its_bounds_and_moves_evenly() -> None:
    config = TrainConfig(weight_decay=0.2, decay_range=8, evaluations=10)
    decay = 0.2
    for _ in range(10):
        decay = followed(decay, 100.0, config)
    assert decay == pytest.approx(0.2 * 8)
    assert followed(decay, 100.0, config) == pytest.approx(0.2 * 8)
    for _ in range(10):
        decay = followed(decay, -100.0, config)
    assert decay == pytest.approx(0.2)
    assert followed(decay, -100.0, config) == 0.2
    up = followed(1.0, 0.03, config)
    assert up * followed(1.0, -0.03, config) == pytest.approx(1)


def test_a_trial_changes_no_network() -> None:
    run = trained()
    before = copy.deepcopy(run.net.tensors())
    smaller: list[Tensor] = shrunk(run.net).tensors()
    assert tensors_equal(run.net.tensors(), before)
    for W, own in zip(smaller, before, strict=True):
        assert torch.equal(W[:, -1], own[:, -1])
        torch.testing.assert_close(W[:, :-1], own[:, :-1] * (1 - TRIAL))


@pytest.mark.parametrize("changes", [{"decay_range": 1.0}, {"weight_decay": 0.0}])
def test_a_decay_that_may_not_rise_costs_nothing(changes: dict[str, float]) -> None:
    named = {f"train__{key}": value for key, value in changes.items()}
    run = trained(steps=1, **named)
    before = run.ledger.sample_visits
    assert next_decay(run, 1.0) == run.spec.train.weight_decay
    assert run.ledger.sample_visits == before


@pytest.mark.parametrize("optimizer", ["adamw", "natural"])
def test_a_run_that_memorises_decays_more(optimizer: str) -> None:
    """Few examples with random labels: the surer, the worse."""
    raw = rings(30, seed=1)
    raw.train_y[:] = raw.train_y[::-1].copy()
    settings = spec(
        kind="fixed",
        model__hidden=(20,),
        train__optimizer=optimizer,
        train__weight_decay=0.01,
        data__val_per_class=5,
    )
    decays = decays_of(train_run(settings, raw))
    assert decays[0] == 0.01
    assert decays[-1] > 0.1


@pytest.mark.parametrize("raw", [RAW, waves()], ids=["classification", "regression"])
def test_a_run_never_decays_less_than_its_settings_say(raw: RawData) -> None:
    record = train_run(spec(kind="fixed"), raw)
    assert min(decays_of(record)) == 0.1

"""Plans of removals."""

import dataclasses

import numpy as np
import pytest
import torch

from senn_ray.growth.measure import Draw, Measured, draw, mean_loss, measure, moment
from senn_ray.growth.pruning import (
    neuron_costs,
    next_layer,
    plan_removals,
    prune_cheapest,
    would_prune,
)
from senn_ray.nets.surgery import prune
from senn_ray.runs.loop import train_step
from senn_ray.runs.run import prepare
from senn_ray.training.reducer import SingleReducer
from senn_ray.training.run_state import RunState
from tests.training.problems import rings, spec

FIRST = 0


def trained(*hidden: int, threshold: float) -> RunState:
    run_spec = spec(
        model__hidden=hidden,
        growth__removal_threshold=threshold,
        growth__absolute_threshold=2 * threshold,
    )
    run = prepare(run_spec, rings(), reducer=SingleReducer(), device="cpu")
    for step in range(80):
        train_step(run, step, 0.01)
    run.births = [[FIRST] * h for h in hidden]
    return run


@torch.no_grad()
def measured_now(run: RunState, drawn: Draw) -> Measured:
    return measure(run, run.net, drawn)


@torch.no_grad()
def loss_now(run: RunState, drawn: Draw) -> float:
    return mean_loss(run, run.net, drawn)


def test_a_removal_is_priced_after_those_before_it() -> None:
    run = trained(12, threshold=0.05)
    drawn = draw(run, "pruning", 80)
    measured = measured_now(run, drawn)
    plan = plan_removals(run, measured, born_before=1)
    assert len(plan) > 6
    for removal in plan[:6]:
        (again, *_) = plan_removals(run, measured, born_before=1)
        assert again.index == removal.index
        # The outputs have moved a little, and the curvature there with them.
        assert again.cost == pytest.approx(removal.cost, rel=0.05)
        assert removal.index is not None
        A = moment(run, measured.layers[measured.views[0].layer])
        change = prune(run.net, removal.place, removal.index, A)
        run.follow(change, 80)
        measured = measured_now(run, drawn)


def test_no_removal_raises_the_loss_by_more_than_twice_the_threshold() -> None:
    run = trained(8, 8, threshold=0.02)
    drawn = draw(run, "pruning", 80, share=0.5)
    before = loss_now(run, drawn)
    events = prune_cheapest(run, 80, born_before=1)
    assert events
    rises = [
        e.loss_after - e.loss_before
        for e in events
        if e.loss_after is not None and e.loss_before is not None
    ]
    assert len(rises) == len(events)
    assert max(rises) <= 2 * 0.02
    after = loss_now(run, drawn)
    assert after - before == pytest.approx(sum(rises), abs=1e-4)


def test_the_best_network_loses_the_same_neurons() -> None:
    run = trained(12, threshold=0.05)
    run.best = prepare(run.spec, rings(), reducer=SingleReducer(), device="cpu").net
    first = run.best.tensors()[0].clone()
    prune_cheapest(run, 80, born_before=1)
    kept = run.best.tensors()[0]
    assert run.best.architecture() == run.net.architecture()
    assert all((first == row).all(1).any() for row in kept)


def test_whether_another_pruning_would_remove_anything_is_told_by_trying() -> None:
    run = trained(12, threshold=0.05)
    tensors = [t.clone() for t in run.net.tensors()]
    assert would_prune(run, 80, born_before=1)
    assert all(map(torch.equal, tensors, run.net.tensors()))
    assert not would_prune(run, 80, born_before=0)  # All are too young.
    assert prune_cheapest(run, 80, born_before=1)
    assert not would_prune(run, 80, born_before=1)
    assert not prune_cheapest(run, 80, born_before=1)


def test_removal_costs_are_exact_where_the_loss_is_quadratic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Least squares in the last layer, at its optimum: cost is the rise, to rounding."""
    monkeypatch.setattr("senn_ray.growth.measure.INPUT_DAMPING", 1e-12)
    monkeypatch.setattr("senn_ray.growth.pruning.OUTPUT_DAMPING", 0.0)
    raw = rings()
    raw = dataclasses.replace(
        raw,
        task="regression",
        num_outputs=1,
        train_y=np.sin(raw.train_x.sum(1, keepdims=True)),
        test_y=np.sin(raw.test_x.sum(1, keepdims=True)),
    )
    run_spec = spec(model__hidden=(6,), train__precision="float64")
    run = prepare(run_spec, raw, reducer=SingleReducer(), device="cpu")
    for step in range(80):
        train_step(run, step, 0.01)
    drawn = draw(run, "pruning", 80)
    (layer,) = measured_now(run, drawn).layers
    _, y = run.train.batch(drawn.examples)
    W, V = run.net.tensors()
    V = torch.linalg.lstsq(layer.inputs, y.view(len(y), -1).to(layer.inputs)).solution.T
    run.net.become([W, V], run.net.layout)
    measured = measured_now(run, drawn)
    (view,) = measured.views
    costs = neuron_costs(run, next_layer(run, run.net, view, measured))
    A = moment(run, measured.layers[0])
    tensors, layout = run.net.tensors(), run.net.layout
    for index in range(6):
        prune(run.net, view.place, index, A)
        rise = loss_now(run, drawn) - measured.loss
        run.net.become(tensors, layout)
        assert costs[index].item() == pytest.approx(rise, rel=1e-5, abs=1e-9)

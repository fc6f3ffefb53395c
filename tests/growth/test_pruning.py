"""The laws of removals, and of the sizes they end at."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from senn_ray.config import FrontConfig
from senn_ray.growth.measure import Draw, Measured, draw, measure, moment
from senn_ray.growth.pruning import (
    SHARE,
    curvature,
    layer_price,
    neuron_costs,
    next_layer,
    next_size,
    prune_to,
    rungs_below,
    size_of,
    unit_price,
)
from senn_ray.maths.linalg import inverse
from senn_ray.maths.removal import compensation
from senn_ray.nets.conv import ConvNet
from senn_ray.nets.mlp import dense
from senn_ray.nets.surgery import prune, remove_block, remove_layer
from senn_ray.training.run_state import RunState
from tests.training.problems import mean_loss, rings, spec, trained

PARAMS = FrontConfig()
SHAPES: dict[str, dict[str, Any]] = {
    "one layer": {"model__hidden": (12,)},
    "two layers": {"model__hidden": (8, 6)},
    "rational": {"model__hidden": (9, 9), "model__activation": "rational"},
    "conv": {"model__kind": "conv", "model__channels": (3, 4), "model__hidden": (4,)},
}


def wide(shape: str = "one layer", **changes: Any) -> RunState:
    """A trained run that is walked down."""
    raw = rings()
    if shape == "conv":
        raw = dataclasses.replace(raw, feature_shape=(1, 2, 4))
    settings = {"front": PARAMS, **SHAPES[shape], **changes}
    return trained(spec(**settings), raw, steps=80)


@torch.no_grad()
def measured_now(run: RunState, drawn: Draw) -> Measured:
    return measure(run, run.net, drawn)


@pytest.mark.parametrize("cost", ["params", "flops"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_price_is_what_the_network_shrinks_by(shape: str, cost: Any) -> None:
    config = FrontConfig(cost=cost)
    run = wide(shape)
    net, tensors, layout = run.net, run.net.tensors(), run.net.layout
    for place in net.places():
        before = size_of(net, config)
        one, whole = (price(net, place, config) for price in (unit_price, layer_price))
        prune(net, place, 0)
        assert before - size_of(net, config) == one
        net.become(tensors, layout)
        if isinstance(net, ConvNet):
            width = len(net.parts[net.locate(place).rows])
            remove_block(net, place, torch.zeros(width))
        else:
            rows = net.parts[net.locate(place).rows]
            remove_layer(dense(net), place.layer, torch.zeros_like(rows))
        assert before - size_of(net, config) == whole
        net.become(tensors, layout)


@pytest.mark.parametrize("shape", ["one layer", "two layers"])
def test_what_goes_first_costs_least_for_each_parameter(shape: str) -> None:
    """By brute force: least squares for every neuron, and parameters counted."""
    run = wide(shape, train__precision="float64")
    drawn = draw(run, "pruning", 80, share=SHARE)
    measured = measured_now(run, drawn)
    net, tensors, layout = run.net, run.net.tensors(), run.net.layout
    prices = {}
    for view in measured.views:
        if view.is_new:
            continue
        layer, parts = measured.layers[view.layer], net.locate(view.place)
        a, W = layer.inputs, tensors[parts.columns]
        G = curvature(run, layer, 1e-3)
        # The damping of the inputs, as examples more.
        extra = moment(run, layer) - a.T @ a / len(a)
        rows = torch.cat([a, torch.linalg.cholesky(len(a) * extra).T])
        for i in range(W.shape[1] - 1):
            keep = [j for j in range(W.shape[1]) if j != i]
            share = torch.linalg.lstsq(rows[:, keep], rows[:, [i]]).solution[:, 0]
            left = rows[:, i] - rows[:, keep] @ share
            change = left[:, None] * W[:, i]
            cost = 0.5 * ((change @ G) * change).sum().item() / len(a)
            before = run.num_params
            prune(net, view.place, i)
            prices[view.place, i] = cost / (before - run.num_params)
            net.become(tensors, layout)
    (place, index) = min(prices, key=lambda key: prices[key])
    kept = tensors[net.locate(place).rows].detach()
    (event,) = prune_to(run, 80, run.num_params - 1)
    assert event.removal_cost is not None
    least = prices[place, index]
    gone = kept[torch.arange(len(kept)) != index]
    assert torch.equal(run.net.tensors()[run.net.locate(place).rows], gone)
    parameters = unit_price(run.net, place, PARAMS)
    assert event.removal_cost / parameters == pytest.approx(least, rel=1e-6)


def test_a_removal_is_priced_after_those_before_it() -> None:
    """As if the network were measured again after each."""
    at_once, one_by_one = wide(), wide()
    events = prune_to(at_once, 80, at_once.num_params - 40)
    assert len(events) > 2
    for event in events:
        (again,) = prune_to(one_by_one, 80, one_by_one.num_params - 1)
        assert again.hidden_after == event.hidden_after
        # The outputs have moved a little, and the curvature there with them.
        assert again.removal_cost == pytest.approx(event.removal_cost, rel=0.05)
    for own, other in zip(at_once.net.tensors(), one_by_one.net.tensors(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-3)


def test_costs_say_what_the_loss_rises_by() -> None:
    run = wide("two layers")
    drawn = draw(run, "pruning", 80, share=SHARE)
    before = mean_loss(run, drawn)
    events = prune_to(run, 80, 0.7 * run.num_params)
    told = sum(event.removal_cost or 0.0 for event in events)
    assert 0.3 * told < mean_loss(run, drawn) - before < 3 * told


@pytest.mark.parametrize("shape", SHAPES)
def test_sizes_of_people_are_kept_to_and_ratios_met_as_nearly_as_neurons_can(
    shape: str,
) -> None:
    run = wide(shape)
    dearest = max(unit_price(run.net, p, PARAMS) for p in run.net.places())
    while (size := next_size(run)) is not None and prune_to(run, 80, size):
        # Layers that went together with their neurons may have freed more.
        if len(run.hidden) == len(SHAPES[shape]["model__hidden"]) or shape == "conv":
            assert run.num_params - size <= dearest
    for most in (130, 100, 64):
        run = wide(shape, front=FrontConfig(sizes=(most,)))
        assert next_size(run) == most or run.num_params <= most
        if run.num_params > most:
            prune_to(run, 80, most)
            assert run.num_params <= most or set(run.hidden) == {1}
            assert next_size(run) is None or set(run.hidden) == {1}


def test_one_neuron_of_every_layer_stays_unless_the_layer_goes() -> None:
    run = wide("two layers")
    assert prune_to(run, 80, 1.0)
    assert run.hidden == (1, 1)
    assert prune_to(run, 81, 1.0) == []
    run = wide("rational")
    assert any(event.kind == "remove_layer" for event in prune_to(run, 80, 1.0))


@pytest.mark.parametrize(
    ("front", "left"),
    [({}, 8), ({"rungs": 3}, 2), ({"sizes": (900, 50, 30)}, 2), ({"ratio": 0.5}, 4)],
)
def test_rungs_that_are_left_are_estimated(front: dict[str, Any], left: int) -> None:
    run = wide(front=FrontConfig(**front))
    assert rungs_below(run) == left


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
    run = trained(run_spec, raw, steps=80)
    drawn = draw(run, "pruning", 80)
    (layer,) = measured_now(run, drawn).layers
    _, y = run.train.batch(drawn.examples)
    W, V = run.net.tensors()
    V = torch.linalg.lstsq(layer.inputs, y.view(len(y), -1).to(layer.inputs)).solution.T
    run.net.become([W, V], run.net.layout)
    measured = measured_now(run, drawn)
    (view,) = measured.views
    costs = neuron_costs(run, next_layer(run, run.net, view, measured))
    precision = inverse(moment(run, measured.layers[0]))
    tensors, layout = run.net.tensors(), run.net.layout
    for index in range(6):
        prune(run.net, view.place, index, compensation(V, precision, index))
        rise = mean_loss(run, drawn) - measured.loss
        run.net.become(tensors, layout)
        assert costs[index].item() == pytest.approx(rise, rel=1e-5, abs=1e-9)

"""Convolutional networks that grow while they train."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from senn_ray.config import (
    Config,
    DataConfig,
    GrowthConfig,
    ModelConfig,
    TrainConfig,
)
from senn_ray.core.errors import ConfigError
from senn_ray.core.records import RunSpec
from senn_ray.data.assemble import assemble
from senn_ray.data.datasets import load
from senn_ray.growth.checks import check_growth
from senn_ray.growth.measure import draw, measure
from senn_ray.growth.pruning import (
    linearised,
    neuron_costs,
    next_layer,
    prune_to,
)
from senn_ray.nets.conv import conv
from senn_ray.nets.make import starting_architecture
from senn_ray.nets.network import LayerIndex
from senn_ray.runs.loop import train, train_step
from senn_ray.runs.run import prepare, train_run
from senn_ray.training.reducer import Reducer, SingleReducer
from senn_ray.training.run_state import RunState
from senn_ray.training.snapshots import (
    digests,
    from_bytes,
    live_state,
    restore,
    to_bytes,
)
from tests.training.problems import mean_loss, schedule_of
from tests.training.threads import run_threaded

DATA = DataConfig(dataset="digits")
RAW = load(DATA)
SPEC = RunSpec(
    run_id="run",
    arm="senn",
    kind="grow",
    seed=0,
    data=DATA,
    model=ModelConfig(kind="conv", channels=(6, 8), max_depth=2),
    train=TrainConfig(
        epochs=1, min_steps=40, batch_size=128, lr=0.02, weight_decay=0.1, evaluations=4
    ),
    growth=GrowthConfig(
        check_every=15, candidates=8, rank=8, decision_examples=512, max_additions=4
    ),
)


# Few checks, in an arithmetic in which the order of sums does not decide.
SHORT = replace(
    SPEC,
    train=SPEC.train.model_copy(update={"precision": "float64", "cooldown": 0.5}),
)


def fresh(reducer: Reducer, spec: RunSpec = SPEC, **growth: Any) -> RunState:
    spec = replace(spec, growth=spec.growth.model_copy(update=growth))
    return prepare(spec, RAW, reducer=reducer, device="cpu")


def trained(steps: int = 30) -> RunState:
    run = fresh(SingleReducer())
    for step in range(steps):
        train_step(run, step, 0.02)
    return run


@pytest.mark.slow
def test_a_run_grows_in_width_and_depth_and_learns() -> None:
    longer = SPEC.train.model_copy(update={"min_steps": 120})
    record = train_run(replace(SPEC, train=longer, evaluate_test=True), RAW)
    kinds = [event.kind for event in record.expansions]
    assert "widen" in kinds
    assert "insert_layer" in kinds
    assert len(record.hidden) > 2
    assert record.test_accuracy is not None
    assert record.test_accuracy > 0.88
    fixed = train_run(replace(SPEC, train=longer, kind="fixed"), RAW)
    assert record.val_loss is not None
    assert fixed.val_loss is not None
    assert record.val_loss < fixed.val_loss


@pytest.mark.slow
def test_a_check_changes_the_network_but_not_its_function() -> None:
    run = trained()
    x, _ = run.val.batch(torch.arange(20))
    before = run.net(x)
    check = check_growth(run, 30)
    assert check.additions > 1
    assert any(event.kind == "insert_layer" for event in check.events)
    torch.testing.assert_close(run.net(x), before, rtol=0, atol=1e-5)


def test_a_block_is_never_inserted_above_the_cap() -> None:
    run = trained()
    for step in (30, 31, 32):
        check_growth(run, step)
    assert max(run.net.layout) <= 2


@pytest.mark.slow
def test_random_labels_do_not_make_a_convolution_grow() -> None:
    grown = 0
    for seed in range(8):
        labels = np.random.default_rng(seed).permutation(RAW.train_y)
        noise = replace(RAW, train_y=labels)
        spec = replace(SPEC, seed=seed)
        run = prepare(spec, noise, reducer=SingleReducer(), device="cpu")
        for step in range(20):
            train_step(run, step, 3e-3)
        grown += check_growth(run, 20).additions > 0
    assert grown <= 1


@pytest.mark.parametrize("score", ["gradient", "random"])
def test_the_controls_grow_convolutions_too(score: str) -> None:
    run = trained(10)
    grower = fresh(SingleReducer(), score=score)
    grower.net = run.net
    assert check_growth(grower, 10).events


def grow_once(reducer: Reducer) -> RunState:
    run = fresh(reducer, SHORT)
    for step in range(15):
        train_step(run, step, 0.02)
    run.trace.expansions += check_growth(run, 15).events
    train_step(run, 15, 0.02)
    run.trace.expansions += prune_to(run, 16, 0.7 * run.num_params)
    return run


def test_a_gang_of_two_grows_what_one_grows() -> None:
    alone = grow_once(SingleReducer())
    kinds = {event.kind for event in alone.trace.expansions}
    assert {"insert_layer", "prune"} <= kinds
    gang = run_threaded(2, grow_once)
    for run in gang:
        assert run.hidden == alone.hidden
        for own, first in zip(run.net.tensors(), gang[0].net.tensors(), strict=True):
            assert torch.equal(own, first)
        for own, other in zip(run.net.tensors(), alone.net.tensors(), strict=True):
            torch.testing.assert_close(own, other, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_a_run_goes_on_from_its_state_bitwise() -> None:
    run, kept = fresh(SingleReducer()), {}

    def keep(at: RunState) -> None:
        if at.step == 20:
            kept["state"] = to_bytes(live_state(at))

    schedule = schedule_of(run)
    train(run, schedule, None, before_step=keep)
    again = fresh(SingleReducer())
    restore(again, from_bytes(kept["state"]))
    train(again, schedule, None)
    assert len(run.hidden) > 2
    assert digests(live_state(again)) == digests(live_state(run))


def test_a_block_that_does_nothing_costs_nothing_and_goes() -> None:
    run = trained()
    net = conv(run.net)
    with torch.no_grad():
        net.parts[net.locate(LayerIndex(0, 0)).columns][:, :-1] = 0
    x, _ = run.val.batch(torch.arange(20))
    before = net(x)
    # Its neurons cost nothing either; the last of them goes with the block.
    events = [*prune_to(run, 30, run.num_params - 1)]
    events += prune_to(run, 30, run.num_params - 1)
    assert [(event.kind, event.site) for event in events] == [
        ("prune", 0),
        ("remove_layer", 0),
    ]
    assert net.layout[0] == 0
    assert len(run.hidden) >= 1
    drift = (net(x) - before).abs().max()
    assert drift < 0.2
    # An empty stage can be filled again.
    check = check_growth(run, 31)
    assert net.layout[0] == 1
    assert check.additions >= 1


def test_removal_costs_are_what_the_loss_then_rises_by() -> None:
    run = trained(60)
    drawn = draw(run, "pruning", 60)
    measured = measure(run, run.net, drawn)
    view = measured.views[-1]
    costs = neuron_costs(run, next_layer(run, run.net, view, measured))
    whole, _ = linearised(run, run.net, view, measured)
    assert (costs > 0).all()
    assert whole > costs.max()
    before = mean_loss(run, drawn)
    event = prune_to(run, 60, run.num_params - 1)[0]
    assert event.removal_cost is not None
    rise = mean_loss(run, drawn) - before
    assert 0.2 * event.removal_cost < rise < 5 * event.removal_cost


@pytest.mark.slow
def test_a_stage_of_one_position_that_two_outputs_read_grows() -> None:
    """There most inputs of a 3x3 patch never change, and G has rank two of 32."""
    generator = np.random.default_rng(0)
    x = generator.integers(0, 255, (120, 3, 6, 6)).astype(np.uint8)
    parts = [(x[:80], np.arange(80) % 2), (x[80:], np.arange(40) % 2)]
    raw = assemble(
        "noise",
        train=parts[0],
        test=parts[1],
        val_per_class=10,
    )
    tiny = replace(SPEC, model=ModelConfig(kind="conv", hidden=(2,)))
    record = train_run(tiny, raw)
    assert record.state == "complete"


@pytest.mark.parametrize(
    ("model", "shape", "says"),
    [
        ({}, (64,), "needs images"),
        ({"channels": (4, 4, 4, 4, 4)}, (1, 8, 8), "too small"),
        ({"patch": 3}, (1, 8, 8), "does not divide"),
    ],
)
def test_data_that_does_not_suit_is_refused(
    model: dict[str, Any], shape: tuple[int, ...], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        starting_architecture(ModelConfig(kind="conv", **model), shape, 10)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"hidden": (2, 2)}, "does not fit the 3 stages"),
        ({"channels": (4, 0)}, "at least 1"),
        ({"hidden": (2,) * 6, "max_depth": 1}, "more layers"),
    ],
)
def test_settings_that_fit_no_network_are_refused(
    model: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        ModelConfig(kind="conv", **model)


def test_the_natural_optimiser_is_refused() -> None:
    with pytest.raises(ValidationError, match="dense layers only"):
        Config(model=ModelConfig(kind="conv"), train=TrainConfig(optimizer="natural"))


def test_exact_curvature_is_refused() -> None:
    with pytest.raises(ValidationError, match="exact is for dense layers"):
        Config(model=ModelConfig(kind="conv"), growth=GrowthConfig(curvature="exact"))


def test_images_without_channels_have_one() -> None:
    network = starting_architecture(ModelConfig(kind="conv", hidden=(3,)), (28, 28), 10)
    assert network.kind == "conv"
    assert network.image == (1, 28, 28)
    assert network.hidden == (3, 3, 3)

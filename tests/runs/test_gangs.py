"""Gangs of any size, with unequal shards, train the network that one replica trains."""

from dataclasses import replace

import pytest
import torch

from senn_ray.core.records import RunSpec
from senn_ray.data.examples import RawData
from senn_ray.runs.loop import train
from senn_ray.runs.run import prepare
from senn_ray.training.reducer import Reducer
from senn_ray.training.run_state import RunState
from tests.training.problems import rings, schedule_of, spec, tensors_equal
from tests.training.threads import run_threaded

RAW = rings()
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
"""Relative to the largest parameter of a tensor, after the whole run."""


def grow(reducer: Reducer, settings: RunSpec, raw: RawData = RAW) -> RunState:
    run = prepare(settings, raw, reducer=reducer, device="cpu")
    train(run, schedule_of(run), None)
    return run


def decisions(run: RunState) -> list[tuple[int, str, int]]:
    return [(e.step, e.kind, e.site) for e in run.trace.expansions]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "optimizer", "sizes"),
    [
        ("float64", "adamw", (2, 3, 4)),
        ("float64", "natural", (3,)),
        ("float32", "adamw", (3,)),
    ],
)
def test_gangs_take_the_same_decisions_and_end_with_the_same_parameters(
    precision: str, optimizer: str, sizes: tuple[int, ...]
) -> None:
    settings = spec(
        train__precision=precision,
        train__optimizer=optimizer,
        train__lr=0.01 if optimizer == "adamw" else 0.1,
        train__min_steps=120,
        growth__max_additions=3,
        front__rung_steps=4,
    )
    (alone,) = run_threaded(1, lambda reducer: grow(reducer, settings))
    assert len({step for step, kind, _ in decisions(alone) if kind == "widen"}) > 1
    for size in sizes:
        gang = run_threaded(size, lambda reducer: grow(reducer, settings))
        for run in gang:
            assert decisions(run) == decisions(alone)
            pairs = zip(run.net.tensors(), alone.net.tensors(), strict=True)
            for own, other in pairs:
                assert own.dtype == getattr(torch, precision)
                error = (own - other).norm() / other.norm()
                assert error < TOLERANCE[precision]


def few(*, examples: int, batch: int, **changes: object) -> tuple[RunSpec, RawData]:
    """A run on fewer training and validation examples than a gang has replicas."""
    run = spec(**{
        "train__precision": "float64",
        "train__min_steps": 12,
        "front__rung_steps": 2,
        "train__evaluations": 4,
        "train__batch_size": batch,
        "growth__check_every": 6,
        "growth__candidates": 4,
        "growth__ascent_steps": 2,
        "growth__significance": 0.0,
        "growth__max_additions": 2,
        "data__val_per_class": 1,
        **changes,
    })
    return run, rings(examples + 3)


CONV = {"model__kind": "conv", "model__channels": (3,), "model__max_depth": 2}
LAYERS = {"model__max_depth": 2, "model__activation": "rational"}


@pytest.mark.parametrize(
    ("examples", "batch", "changes"),
    [
        (3, 2, {}),
        (3, 2, LAYERS),
        (3, 2, {"train__optimizer": "natural", "growth__share": "examples"}),
        (30, 3, {"growth__curvature": "sampled"}),
        (3, 2, {**CONV, "growth__curvature": "exact"}),
        (30, 3, {**CONV, "growth__curvature": "sampled"}),
    ],
)
def test_a_replica_without_examples_adds_nothing(
    examples: int, batch: int, changes: dict[str, object]
) -> None:
    settings, raw = few(examples=examples, batch=batch, **changes)
    if "model__kind" in changes:
        raw = replace(raw, feature_shape=(2, 4))
    (alone,) = run_threaded(1, lambda reducer: grow(reducer, settings, raw))
    first, *others = run_threaded(4, lambda reducer: grow(reducer, settings, raw))
    for other in others:
        assert tensors_equal(other.net.tensors(), first.net.tensors())
    assert decisions(first) == decisions(alone)
    grows = any(kind != "rejected" for _, kind, _ in decisions(first))
    assert grows or examples == 3
    for own, other in zip(first.net.tensors(), alone.net.tensors(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-7, atol=1e-9)

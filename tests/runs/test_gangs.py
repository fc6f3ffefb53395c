"""Gangs of any size, with unequal shards, train the network that one replica trains."""

import pytest
import torch

from senn_ray.core.records import RunSpec
from senn_ray.runs.loop import train
from senn_ray.runs.run import prepare
from senn_ray.training.reducer import Reducer, run_threaded
from senn_ray.training.run_state import RunState
from senn_ray.training.schedule import make_schedule
from tests.training.problems import rings, spec

RAW = rings()
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
"""Relative to the largest parameter of a tensor, after the whole run."""


def grow(reducer: Reducer, settings: RunSpec) -> RunState:
    run = prepare(settings, RAW, reducer=reducer, device="cpu")
    schedule = make_schedule(settings.train, settings.growth, len(run.train))
    train(run, schedule, None)
    return run


def decisions(run: RunState) -> list[tuple[int, str, int]]:
    return [(e.step, e.kind, e.site) for e in run.trace.expansions]


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
        growth__removal_threshold=0.0009,
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

"""Small problems for tests of training."""

import numpy as np
import torch

from senn_ray.config import (
    DataConfig,
    FrontConfig,
    GrowthConfig,
    ModelConfig,
    TrainConfig,
)
from senn_ray.core.records import RunSpec
from senn_ray.data.examples import RawData
from senn_ray.growth.checks import Check
from senn_ray.growth.measure import Draw
from senn_ray.maths.losses import loss
from senn_ray.runs.loop import train_step
from senn_ray.runs.run import prepare
from senn_ray.training.reducer import SingleReducer
from senn_ray.training.run_state import RunState
from senn_ray.training.schedule import Schedule, make_schedule


def rings(n: int = 600, *, classes: int = 3, seed: int = 0) -> RawData:
    """Concentric rings in the plane, with six more columns of noise."""
    rng = np.random.default_rng(seed)

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        y = np.arange(count) % classes
        angle = rng.uniform(0, 2 * np.pi, count)
        radius = 1.0 + y + rng.normal(0, 0.15, count)
        x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
        x = np.concatenate([x, rng.normal(0, 0.3, (count, 6))], 1)
        return x.astype(np.float32), y.astype(np.int64)

    train_x, train_y = part(n)
    test_x, test_y = part(300)
    return RawData(
        name="rings",
        task="classification",
        num_outputs=classes,
        feature_shape=(8,),
        train_x=train_x,
        train_y=train_y,
        test_x=test_x,
        test_y=test_y,
        default_val_per_class=30,
    )


def waves(n: int = 300, *, seed: int = 0) -> RawData:
    """A regression on one input: a sine with noise of standard deviation 0.1."""
    rng = np.random.default_rng(seed)

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.uniform(-3, 3, (count, 1))
        y = np.sin(2 * x) + rng.normal(0, 0.1, (count, 1))
        return x.astype(np.float32), y.astype(np.float32)

    train_x, train_y = part(n)
    test_x, test_y = part(300)
    return RawData(
        name="waves",
        task="regression",
        num_outputs=1,
        feature_shape=(1,),
        train_x=train_x,
        train_y=train_y,
        test_x=test_x,
        test_y=test_y,
        default_val_per_class=60,
    )


def spec(**changes: object) -> RunSpec:
    """A short growing run; ``growth__key=…`` and ``train__key=…`` change settings.

    It is walked down if there are settings of ``front``: ``front=…`` or ``front__key=…``.
    """
    sections = {
        "data": DataConfig(dataset="factory:none"),
        "model": ModelConfig(),
        "train": TrainConfig(
            min_steps=300, epochs=1, weight_decay=0.1, lr=0.01, batch_size=256
        ),
        "growth": GrowthConfig(check_every=25, candidates=16, rank=8),
    }
    plain = {"run_id": "run", "arm": "senn", "kind": "grow", "seed": 0}
    for key, value in changes.items():
        section, _, name = key.partition("__")
        if name:
            if section == "front":
                sections.setdefault(section, FrontConfig())
            sections[section] = sections[section].model_copy(update={name: value})
        else:
            plain[key] = value
    return RunSpec(**plain, **sections)


def schedule_of(run: RunState) -> Schedule:
    """Lay out a run by its own settings."""
    settings = run.spec
    return make_schedule(
        settings.train, settings.growth, settings.front, len(run.train)
    )


def tensors_equal(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    """Compare bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def trained(run_spec: RunSpec, raw: RawData, steps: int = 40) -> RunState:
    """Train a replica for some steps, without a check."""
    run = prepare(run_spec, raw, reducer=SingleReducer(), device="cpu")
    for step in range(steps):
        train_step(run, step, 0.01)
    return run


@torch.no_grad()
def mean_loss(run: RunState, drawn: Draw) -> float:
    """Measure the loss of the network on the examples of a decision."""
    x, y = run.train.batch(drawn.examples)
    return loss(run.net(x), y, run.task).item()


def what(check: Check) -> list[tuple[str, int, tuple[int, ...]]]:
    """Name what a check did: kind, site and widths."""
    return [(e.kind, e.site, e.hidden_after) for e in check.events]


def gains(check: Check) -> list[float]:
    """List the held-out gains of a check."""
    return [e.heldout_gain for e in check.events if e.heldout_gain is not None]

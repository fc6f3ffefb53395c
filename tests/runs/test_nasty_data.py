"""Runs on data whose moments are singular end complete, with a finite loss."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from senn_ray.core.records import RunSpec
from senn_ray.data.examples import RawData
from senn_ray.runs.run import train_run
from tests.training.problems import rings, spec, waves

Change = Callable[[np.ndarray], np.ndarray]
RAW_UNITS: dict[str, Any] = {
    "shift": np.zeros(1, np.float32),
    "scale": np.ones(1, np.float32),
}


def changed(change: Change, *, examples: int = 150, **facts: Any) -> RawData:
    """Rings whose features are changed."""
    raw = replace(rings(examples), default_val_per_class=5)
    x, test_x = (change(part).astype(np.float32) for part in (raw.train_x, raw.test_x))
    return replace(
        raw, **{"feature_shape": x.shape[1:], **facts}, train_x=x, test_x=test_x
    )


def one_hot(x: np.ndarray) -> np.ndarray:
    """The first feature in steps, once as numbers and once as columns."""
    steps = np.clip(x[:, 0].round(), -3, 3)
    return np.concatenate([x, steps[:, None] == np.arange(-3, 4)], 1)


def with_constants(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.zeros_like(x), np.ones_like(x)], 1)


def shares(*counts: int) -> RawData:
    """Rings with so many examples of each class, validation by their shares."""
    raw = rings(3 * max(counts))
    keep = np.concatenate([
        np.flatnonzero(raw.train_y == label)[:count]
        for label, count in enumerate(counts)
    ])
    return replace(
        raw,
        train_x=raw.train_x[keep],
        train_y=raw.train_y[keep],
        num_outputs=len(counts),
        default_val_per_class=None,
        **two_classes_of(raw, len(counts)),
    )


def two_classes_of(raw: RawData, classes: int) -> dict[str, np.ndarray]:
    there = raw.test_y < classes
    return {"test_x": raw.test_x[there], "test_y": raw.test_y[there]}


def with_outliers() -> RawData:
    raw = waves(150)
    targets = raw.train_y.copy()
    targets[[3, 77]] = [[1e6], [-3e5]]
    shift, scale = targets.mean(0), targets.std(0)
    return replace(raw, train_y=targets, target_shift=shift, target_scale=scale)


DATA = {
    "three examples of a class": shares(500, 400, 3),
    "a class of 0.2 percent": shares(1500, 3),
    "twenty examples": shares(10, 10),
    "two far targets": with_outliers(),
    "features of 1e9 and of 1e-9": changed(lambda x: x * np.array([1e9, 1e-9] * 4)),
    "columns twice": changed(lambda x: np.repeat(x, 3, 1)),
    "constant columns": changed(with_constants),
    "one-hot columns": changed(one_hot),
    "nothing but constants": changed(lambda x: 0 * x),
    "fewer examples than features": changed(
        lambda x: np.sin(np.outer(x[:, 0], np.arange(1, 80))), examples=30
    ),
    "raw features of 1e6": changed(lambda x: 1e6 * x, **RAW_UNITS),
    "twice, at unlike scales": changed(
        lambda x: np.concatenate([x, 1e4 * x, 1e4 * x], 1), **RAW_UNITS
    ),
    "constant targets": changed(
        lambda x: x,
        task="regression",
        num_outputs=2,
        train_y=np.zeros((150, 2), np.float32),
        test_y=np.zeros((300, 2), np.float32),
    ),
}


def settings(**changes: object) -> RunSpec:
    return spec(**{
        "train__min_steps": 30,
        "train__evaluations": 4,
        "growth__check_every": 10,
        "growth__candidates": 4,
        "growth__max_additions": 2,
        "growth__significance": 0.0,
        "front__rung_steps": 3,
        "model__hidden": (6,),
        **changes,
    })


def check(run: RunSpec, raw: RawData) -> None:
    record = train_run(run, raw)
    assert (record.state, record.error) == ("complete", None)
    assert math.isfinite(record.val_loss or 0)
    assert math.isfinite(record.train_loss or 0)


@pytest.mark.parametrize(
    "how",
    [
        {"model__activation": "tanh"},
        {"model__activation": "relu", "train__optimizer": "natural"},
        {"model__activation": "rational", "model__max_depth": 3},
    ],
    ids=["tanh", "relu, natural", "rational, with layers"],
)
@pytest.mark.parametrize("name", DATA)
def test_runs_on_singular_data_are_completed(name: str, how: dict[str, Any]) -> None:
    check(settings(**how), DATA[name])


@pytest.mark.parametrize(
    ("shape", "axes"), [((3, 4, 4), (0, 1, 2)), ((4, 4, 3), (1, 2, 0))]
)
@pytest.mark.parametrize("curvature", ["exact", "sampled"])
def test_grey_pictures_stored_as_colours_are_learnt(
    curvature: str, shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    """Channels first, and last as bytes lie in files: then rows pass for channels."""

    def picture(x: np.ndarray) -> np.ndarray:
        grey = np.concatenate([x, np.zeros_like(x)], 1).clip(-4, 4).reshape(-1, 1, 4, 4)
        colours = np.repeat(30 * (grey + 4), 3, 1).astype(np.uint8)
        return colours.transpose(0, *(axis + 1 for axis in axes)).reshape(len(x), -1)

    raw = rings(150)
    raw = replace(
        raw,
        default_val_per_class=5,
        feature_shape=shape,
        train_x=picture(raw.train_x),
        test_x=picture(raw.test_x),
    )
    run = settings(
        train__batch_size=32,
        growth__decision_examples=64,
        growth__curvature=curvature,
        model__kind="conv",
        model__channels=(6,),
        model__max_depth=2,
        model__hidden=(2,),
    )
    check(run, raw)

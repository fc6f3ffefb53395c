"""A regression does not depend on the units of its targets; a model gives them back."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from senn_ray.config import DataConfig, GrowthConfig, ModelConfig, TrainConfig
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.data import datasets
from senn_ray.data.examples import RawData
from senn_ray.data.sources import Part, assemble
from senn_ray.data.splits import examples, split, target_standardisation
from senn_ray.export.export import export
from senn_ray.runs.run import train_run

UNITS = {
    "as they are": (1.0, 0.0),
    # Powers of two are exact, so that nothing is rounded in another way.
    "large": (1024.0, 0.0),
    "tiny": (2.0**-12, 0.0),
    "far": (1000.0, 250_000.0),
}
CONFIG = DataConfig(dataset="factory:waves:read", val_per_class=60)
Load = Callable[[str], RawData]


def _part(seed: int, count: int) -> Part:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 2))
    wave = np.sin(2 * x[:, 0]) + 0.1 * rng.normal(size=count)
    return x, np.stack([wave, x[:, 1]], 1)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    def inner(name: str) -> RawData:
        times, plus = UNITS[name]
        (x, y), (test_x, test_y) = _part(0, 400), _part(1, 100)
        raw = assemble(
            "waves",
            train=(x, times * y + plus),
            test=(test_x, times * test_y + plus),
            feature_shape=(2,),
        )
        monkeypatch.setattr(datasets.factory, "read", lambda _: raw)
        return datasets.load(CONFIG)

    return inner


def _trained(raw: RawData, checkpoint: Path | None = None) -> RunRecord:
    spec = RunSpec(
        run_id="senn-0-000",
        arm="senn",
        kind="grow",
        data=CONFIG,
        model=ModelConfig(),
        growth=GrowthConfig(),
        train=TrainConfig(max_steps=300, min_steps=300, evaluations=6),
        seed=0,
        evaluate_test=True,
        checkpoint=str(checkpoint) if checkpoint else None,
    )
    return train_run(spec, raw)


def test_targets_are_learnt_with_mean_zero_and_variance_one(load: Load) -> None:
    raw = load("far")
    train, val = examples(raw, split(raw, CONFIG))
    both = torch.cat([train.y, val.y]).double()
    torch.testing.assert_close(both.mean(0), both.new_zeros(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(
        both.std(0, correction=0), both.new_ones(2), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("name", ["large", "tiny"])
def test_units_change_neither_the_size_nor_the_loss(load: Load, name: str) -> None:
    plain, other = _trained(load("as they are")), _trained(load(name))
    assert plain.hidden == other.hidden
    assert plain.val_loss == other.val_loss
    assert plain.test_loss == other.test_loss


def test_targets_that_are_far_from_zero_are_learnt(load: Load) -> None:
    loss = _trained(load("far")).val_loss
    assert loss is not None
    assert loss < 0.5, "their mean alone would give 1: a half for each target"


def test_the_exported_model_gives_targets_in_their_own_units(
    load: Load, tmp_path: Path
) -> None:
    raw = load("far")
    record = _trained(raw, tmp_path / "run.pt")
    measured = export(record, tmp_path / "run.pt", raw, tmp_path / "model")
    assert measured is not None
    assert measured.loss == pytest.approx(record.test_loss, rel=1e-3)
    program = torch.export.load(tmp_path / "model" / "model.pt2").module()
    error = program(torch.from_numpy(raw.test_x)) - torch.from_numpy(raw.test_y)
    variances = error.square().mean(0) / torch.tensor(raw.target_scale).square()
    assert float(variances.sum()) / 2 == pytest.approx(record.test_loss, rel=1e-3)
    # Without the data set at hand, the checkpoint knows the units.
    again = export(record, tmp_path / "run.pt", None, tmp_path / "again")
    assert again is None
    other = torch.load(tmp_path / "again" / "weights.pt", weights_only=True)
    for key, tensor in torch.load(tmp_path / "model" / "weights.pt").items():
        assert torch.equal(tensor, other[key])
    assert "in their own units" in (tmp_path / "model" / "MODEL_CARD.md").read_text()


def test_classes_and_constant_targets_stay_finite(load: Load) -> None:
    raw = load("as they are")
    classes = dataclasses.replace(raw, task="classification")
    assert target_standardisation(classes) == {}
    constant = dataclasses.replace(raw, train_y=np.full((9, 1), 7.0, np.float32))
    found = target_standardisation(constant)
    assert (found["target_shift"], found["target_scale"]) == ([7.0], [1.0])

"""Standardisation does not depend on the units of a feature or a target."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from senn_ray.config import DataConfig, GrowthConfig, ModelConfig, TrainConfig
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.data import datasets
from senn_ray.data.assemble import assemble
from senn_ray.data.examples import RawData
from senn_ray.data.splits import arranged, examples, split
from senn_ray.data.splits import test_examples as read_test
from senn_ray.data.standardisation import (
    in_own_units,
    inputs_of,
    moments,
    standardisation,
    target_standardisation,
)
from senn_ray.export.export import export
from senn_ray.runs.run import train_run

N, M = 300, 40
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N + M, 1)), RNG.normal(size=(N + M, 1))
LABELS = np.arange(N + M) % 2
CONFIG = DataConfig(val_per_class=20)
NOW_S, HOUR_S = 1.7e9, 3600.0


def read(x: np.ndarray, y: np.ndarray = LABELS) -> RawData:
    return assemble("made", train=(x[:N], y[:N]), test=(x[N:], y[N:]))


def batches(raw: RawData) -> torch.Tensor:
    """All examples as networks see them: training and validation part, then test."""
    ordered = arranged(raw, CONFIG)
    parts = [*examples(ordered, split(ordered, CONFIG)), read_test(ordered)]
    return torch.cat([part.batch(torch.arange(len(part)))[0] for part in parts])


ORDER = arranged(read(np.arange(N + M)[:, None].astype("f4")), CONFIG).train_x[:, 0]


def reference(x: np.ndarray) -> torch.Tensor:
    """The same, slowly, in float64."""
    z = (x - x[:N].mean(0)) / x[:N].std(0)
    return torch.from_numpy(np.concatenate([z[ORDER.astype(int)], z[N:]]))


@given(
    exponent=st.integers(-140, 140),
    negative=st.booleans(),
    offset=st.floats(-1e8, 1e8),
)
@example(exponent=4, negative=False, offset=NOW_S / 1e4)
@example(exponent=-9, negative=False, offset=1.0)
@example(exponent=-40, negative=True, offset=0.0)
@example(exponent=39, negative=False, offset=0.0)
def test_a_column_in_any_unit_standardises_to_the_same(exponent, negative, offset):
    a = 10.0**exponent * (-1 if negative else 1)
    x = a * (X + offset)
    expected = reference(X) * np.sign(a)
    torch.testing.assert_close(batches(read(x)).double(), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32", "float64"])
def test_time_stamps_keep_their_seconds(dtype):
    x = (NOW_S + np.rint(HOUR_S * X)).astype(dtype)
    expected = reference(x.astype(np.float64))
    torch.testing.assert_close(batches(read(x)).double(), expected, atol=2e-6, rtol=0)


def test_float32_columns_far_from_zero_lose_no_more_than_they_had_lost():
    x = (NOW_S + 86400 * X).astype(np.float32)
    assert read(x).encoding is None
    expected = reference(x.astype(np.float64))
    torch.testing.assert_close(batches(read(x)).double(), expected, atol=1e-3, rtol=0)


def test_pixels_share_origin_and_unit():
    x = NOW_S + HOUR_S * RNG.normal(size=(N + M, 1, 2, 3))
    raw = read(x)
    assert raw.encoding is not None
    assert raw.encoding.unit.shape == (1,)
    z = batches(raw).double()
    assert abs(float(z[:N].mean())) < 1e-6
    assert float(z[:N].std()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [("f4", 0.3), ("f4", NOW_S), *(("f8", x) for x in (0.3, NOW_S, 1e200, 1e-200))],
)
def test_what_differs_by_rounding_only_is_constant(dtype, size):
    constant = np.full((N + M, 1), size, dtype)
    noisy = np.where(X > 0, constant, np.nextafter(constant, np.asarray(1, dtype)))
    for column in (constant, noisy, 0 * constant):
        assert batches(read(column)).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("base", "step"), [(NOW_S, 1.0), (1.0, 1e-9), (1e9, 1e-3), (-1e15, 1.0)]
)
def test_what_differs_by_more_is_not(base, step):
    x = base + step * (X > 0)
    assert float(batches(read(x))[:N].std()) == pytest.approx(1, abs=2e-3)


def test_one_value_among_many_is_no_constant():
    x = np.full((N + M, 1), 1000.0, np.float32)
    x[3] = 1000.01
    assert float(batches(read(x)).max()) == pytest.approx(np.sqrt(N - 1), rel=0.1)


def test_columns_that_float32_holds_are_stored_as_they_are():
    x = np.concatenate([3 * X + 5, 1e9 * X, NOW_S + HOUR_S * X], axis=1)
    raw = read(x)
    assert raw.train_x.dtype == np.float32
    np.testing.assert_array_equal(raw.train_x[:, :2], x[:N, :2].astype(np.float32))
    assert raw.encoding is not None
    back = in_own_units(torch.from_numpy(raw.train_x), raw.encoding)
    np.testing.assert_allclose(back[:, 2], x[:N, 2], rtol=0, atol=1e-2)
    assert read(x[:, :2]).encoding is None


def test_the_same_numbers_in_memory_and_by_row_groups(tmp_path: Path):
    x = np.concatenate([X, NOW_S + HOUR_S * X], axis=1)
    for part, rows in (("train", slice(N)), ("test", slice(N, None))):
        features = pa.FixedSizeListArray.from_arrays(pa.array(x[rows].ravel()), 2)
        table = pa.table({"features": features, "label": LABELS[rows]})
        pq.write_table(table, tmp_path / f"{part}.parquet", row_group_size=64)
    found = []
    for memory_gb in (1.0, 0.0):
        config = DataConfig(
            dataset=f"parquet:{tmp_path}", root=tmp_path, memory_gb=memory_gb
        )
        raw = datasets.load(config)
        part = examples(raw, split(raw, config))[0]
        found.append(part.batch(torch.arange(len(part)))[0])
    assert torch.equal(*found)


def test_moments_are_those_of_all_chunks():
    x = NOW_S + HOUR_S * RNG.normal(size=(1000, 3))
    found = moments([x[:7], x[7:8], x[8:]], shared=False)
    assert found is not None
    exact = x.astype(np.longdouble)
    np.testing.assert_allclose(found.mean, exact.mean(0).astype(float), rtol=1e-15)
    np.testing.assert_allclose(found.deviation, exact.std(0).astype(float), rtol=1e-9)
    np.testing.assert_array_equal(found.span, np.ptp(x, axis=0))


UNITS = {
    "as they are": (1.0, 0.0),
    # Powers of two are exact, so that nothing is rounded in another way.
    "large": (1024.0, 0.0),
    "tiny": (2.0**-12, 0.0),
    "far": (1000.0, NOW_S),
}


def waves(name: str) -> RawData:
    """A regression of two targets, in some unit."""
    rng, (times, plus) = np.random.default_rng(0), UNITS[name]
    x = rng.normal(size=(500, 2))
    wave = np.sin(2 * x[:, 0]) + 0.1 * rng.normal(size=500)
    y = times * np.stack([wave, x[:, 1]], 1) + plus
    raw = assemble("waves", train=(x[:400], y[:400]), test=(x[400:], y[400:]))
    return dataclasses.replace(raw, **target_standardisation(raw))


def trained(raw: RawData, checkpoint: Path | None = None) -> RunRecord:
    spec = RunSpec(
        run_id="senn-0-000",
        arm="senn",
        kind="grow",
        data=DataConfig(dataset="factory:waves:read", val_per_class=60),
        model=ModelConfig(),
        growth=GrowthConfig(),
        train=TrainConfig(max_steps=200, min_steps=200, evaluations=5),
        seed=0,
        evaluate_test=True,
        checkpoint=str(checkpoint) if checkpoint else None,
    )
    return train_run(spec, raw)


@pytest.mark.parametrize(("name", "tolerance"), [("large", 1e-6), ("far", 1e-5)])
def test_targets_are_learnt_with_mean_zero_and_variance_one(name, tolerance):
    raw = waves(name)
    train, val = examples(raw, split(raw, CONFIG))
    both = torch.cat([train.y, val.y])
    assert both.dtype == torch.float32
    z = both.double()
    torch.testing.assert_close(z.mean(0), z.new_zeros(2), atol=tolerance, rtol=0)
    spread = z.std(0, correction=0)
    torch.testing.assert_close(spread, z.new_ones(2), atol=tolerance, rtol=0)


@pytest.mark.slow
def test_units_of_targets_change_neither_the_size_nor_the_loss():
    plain = trained(waves("as they are"))
    for name in ("large", "tiny"):
        other = trained(waves(name))
        assert plain.hidden == other.hidden
        assert plain.val_loss == other.val_loss
        assert plain.test_loss == other.test_loss


@pytest.mark.slow
def test_the_exported_model_gives_targets_in_their_own_units(tmp_path: Path):
    raw = waves("far")
    record = trained(raw, tmp_path / "run.pt")
    assert record.val_loss is not None
    assert record.val_loss < 0.5, (
        "their mean alone would give 1: a half for each target"
    )
    measured = export(record, tmp_path / "run.pt", raw, tmp_path / "model")
    assert measured is not None
    assert measured.loss == pytest.approx(record.test_loss, rel=1e-3)
    program = torch.export.load(tmp_path / "model" / "model.pt2").module()
    error = program(torch.from_numpy(raw.test_x)) - torch.from_numpy(raw.test_y)
    variances = error.square().mean(0) / torch.tensor(raw.target_scale).square()
    assert float(variances.sum()) / 2 == pytest.approx(record.test_loss, rel=1e-3)
    # Without the data set at hand, the checkpoint knows the units.
    assert export(record, tmp_path / "run.pt", None, tmp_path / "again") is None
    other = torch.load(tmp_path / "again" / "weights.pt", weights_only=True)
    for key, tensor in torch.load(tmp_path / "model" / "weights.pt").items():
        assert torch.equal(tensor, other[key])
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text()
    assert "in their own units" in card
    assert "target_scale" in card


@pytest.mark.slow
def test_the_exported_model_takes_time_stamps(tmp_path: Path):
    raw = waves("as they are")
    x = np.concatenate([raw.train_x, raw.test_x]).astype(np.float64) * HOUR_S + NOW_S
    y = np.concatenate([raw.train_y, raw.test_y])
    far = assemble("far", train=(x[:400], y[:400]), test=(x[400:], y[400:]))
    far = dataclasses.replace(far, **target_standardisation(far))
    record = trained(far, tmp_path / "run.pt")
    measured = export(record, tmp_path / "run.pt", far, tmp_path / "model")
    assert measured is not None
    assert measured.loss == pytest.approx(record.test_loss, rel=1e-4)
    program = torch.export.load(tmp_path / "model" / "model.pt2").module()
    error = program(torch.from_numpy(x[400:])) - torch.from_numpy(y[400:])
    variances = error.square().mean(0) / torch.tensor(far.target_scale).square()
    assert float(variances.sum()) / 2 == pytest.approx(record.test_loss, rel=1e-3)
    assert "**Input**: float64" in (tmp_path / "model" / "MODEL_CARD.md").read_text()


def test_classes_and_constant_targets_stay_finite():
    raw = waves("as they are")
    classes = dataclasses.replace(raw, task="classification")
    assert target_standardisation(classes) == {}
    constant = dataclasses.replace(raw, train_y=np.full((9, 1), 7.0, np.float32))
    found = target_standardisation(constant)
    assert (found["target_shift"], found["target_scale"]) == ([7.0], [1.0])


def test_stored_standardisation_is_used():
    raw = read(X)
    shift, scale = standardisation(raw)
    known = dataclasses.replace(raw, shift=shift + 1, scale=scale)
    assert read_test(known).shift.item() == pytest.approx(shift[0] + 1)
    assert inputs_of(known).shift.item() == pytest.approx(shift[0] + 1)

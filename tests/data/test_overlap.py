import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data import standardisation
from senn_ray.data.datasets import load, refuse_overlap
from senn_ray.data.examples import RawData


def raw(train: np.ndarray, test: np.ndarray) -> RawData:
    return RawData(
        name="own",
        task="classification",
        num_outputs=2,
        feature_shape=train.shape[1:],
        train_x=train,
        train_y=np.zeros(len(train), np.int64),
        test_x=test,
        test_y=np.zeros(len(test), np.int64),
        default_val_per_class=1,
    )


X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)


def test_disjoint_parts_pass_and_shared_examples_are_counted_once() -> None:
    refuse_overlap(raw(X[:30], X[30:]))
    both = np.concatenate([X[:30], X[:2], X[:2]])
    with pytest.raises(DataError, match="share 2 identical examples"):
        refuse_overlap(raw(both, np.concatenate([X[30:], X[:2]])))


def test_equal_numbers_of_other_types_and_signs_of_zero_are_equal() -> None:
    bytes_, floats = np.zeros((1, 3), np.uint8), np.full((1, 3), -0.0, np.float32)
    with pytest.raises(DataError, match="share 1 identical"):
        refuse_overlap(raw(bytes_, floats))


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standardisation, "CHUNK", 3)
    with pytest.raises(DataError, match="share 5 identical"):
        refuse_overlap(raw(X[:30], X[25:]))


def test_parquet_is_checked_and_a_reason_lets_it_pass(tmp_path) -> None:
    for part in ("train", "test"):
        features = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 4)
        table = pa.table({"features": features, "label": np.arange(50) % 2})
        pq.write_table(table, tmp_path / f"{part}.parquet")
    config = DataConfig(dataset=f"parquet:{tmp_path}")
    with pytest.raises(DataError, match="share 50 identical examples"):
        load(config)
    allowed = load(config.model_copy(update={"allow_overlap": "a smoke test"}))
    assert len(allowed.train_y) == len(allowed.test_y) == 50

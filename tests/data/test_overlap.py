import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data import standardisation
from senn_ray.data.datasets import load
from senn_ray.data.duplicates import check_duplicates, row_hashes
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


def check(data: RawData) -> list[str]:
    return check_duplicates(data, allowed=False, own_split=False)


X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)


def test_disjoint_parts_pass_and_shared_examples_are_counted_once() -> None:
    check(raw(X[:30], X[30:]))
    with pytest.raises(DataError, match="share 2 identical examples"):
        check(raw(X[:30], np.concatenate([X[30:], X[:2], X[:2]])))


def test_equal_numbers_of_other_types_and_signs_of_zero_are_equal() -> None:
    bytes_, floats = np.zeros((1, 3), np.uint8), np.full((1, 3), -0.0, np.float32)
    with pytest.raises(DataError, match="share 1 identical"):
        check(raw(bytes_, floats))


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standardisation, "CHUNK", 3)
    with pytest.raises(DataError, match="share 5 identical"):
        check(raw(X[:30], X[25:]))


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


def test_copies_within_the_training_part_are_told() -> None:
    copied = np.concatenate([X[:30], X[:5]])
    (said,) = check(raw(copied, X[30:]))
    assert "10 of 35 training examples have the features of another" in said


def test_tables_of_few_distinct_rows_are_no_accident() -> None:
    small = np.random.default_rng(1).integers(0, 4, (400, 3)).astype(np.float32)
    said = check(raw(small[:300], small[300:]))
    assert "100 of 100 test examples" in said[0]


def test_black_images_in_both_parts_are_no_accident() -> None:
    train = np.concatenate([X[:40], np.zeros((3, 4), np.float32)])
    test = np.concatenate([X[40:], np.zeros((1, 4), np.float32)])
    assert "1 of 11 test examples" in check(raw(train, test))[0]


def test_hashes_tell_rows_apart_that_differ_in_one_bit() -> None:
    x = np.random.default_rng(0).integers(0, 3, (2000, 30)).astype(np.float32)
    distinct = np.unique(x, axis=0)
    assert len(np.unique(row_hashes(distinct))) == len(distinct)
    other = distinct.copy()
    other[:, 7] = np.nextafter(other[:, 7], np.float32(9))
    assert not set(row_hashes(other)) & set(row_hashes(distinct))
    np.testing.assert_array_equal(row_hashes(x[:, ::-1])[:0], row_hashes(x[:0]))

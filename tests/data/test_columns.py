"""Columns of every type become inputs, as the settings say."""

import datetime
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from senn_ray.core.errors import DataError
from senn_ray.data.codes import Column
from senn_ray.data.columns import encode
from senn_ray.data.tables import in_memory
from tests.data.made import blobs, fixed, read, said, write

N = 200
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def table(folder: Path, **columns: Any) -> str:
    """Write columns beside a label and a column of noise."""
    rng = np.random.default_rng(0)
    noise, label = rng.normal(size=N), np.arange(N) % 2
    write(folder / "a.parquet", {**columns, "noise": noise, "label": label})
    return f"parquet:{folder}/a.parquet"


def encoded(column: Column, values: Any) -> list[list[float]]:
    rows = in_memory("made", pa.table({column.name: values}))
    (batch,) = rows.batches([column.name])
    return encode((column,), batch, np.dtype(np.float64)).tolist()


def column_of(raw: Any, name: str) -> Column:
    (found,) = [column for column in raw.columns if column.name == name]
    return found


def test_missing_numbers_are_means_beside_an_indicator(tmp_path: Path) -> None:
    values = pa.array(np.arange(N) + 0.0, mask=np.arange(N) % 10 == 0)
    column = column_of(read(table(tmp_path, age=values)), "age")
    assert column.indicator
    assert 90 < column.fill < 110
    found = encoded(column, pa.array([3.0, None, np.nan]))
    assert found == [[3.0, 0.0], [column.fill, 1.0], [column.fill, 1.0]]


def test_a_number_that_is_first_missing_later_is_the_mean(tmp_path: Path) -> None:
    column = column_of(read(table(tmp_path, age=np.arange(N) % 7)), "age")
    assert not column.indicator
    assert encoded(column, pa.array([5, None])) == [[5.0], [column.fill]]


@pytest.mark.parametrize("make", [pa.array, lambda v: pa.array(v).dictionary_encode()])
def test_categories_are_one_hot_and_rare_levels_share_an_input(
    tmp_path: Path, make: Any
) -> None:
    words = ["Oslo", "Lima", None, "Pune"] * (N // 4)
    words[:6] = ["Rome", "Bern", "Rome", "Kiew", "Bern", "Wien"]
    column = column_of(read(table(tmp_path, city=make(words))), "city")
    assert (column.levels, column.rest) == (("Lima", "Oslo", "Pune", ""), True)
    found = encoded(column, pa.array(["Oslo", None, "Rome", "Nowhere"]))
    assert found == [
        [0, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1],
    ]  # fmt: skip


def test_an_unseen_level_is_all_zeros_without_rare_ones(tmp_path: Path) -> None:
    column = column_of(read(table(tmp_path, city=["a", "b"] * (N // 2))), "city")
    assert encoded(column, pa.array(["b", "c"])) == [[0, 1], [0, 0]]


def test_levels_are_bounded(tmp_path: Path) -> None:
    words = [f"w{i % 20}" for i in range(N)]
    column = column_of(read(table(tmp_path, word=words), max_levels=3), "word")
    assert column.width == 4


def test_numbers_may_be_names(tmp_path: Path) -> None:
    dataset = table(tmp_path, zip=np.arange(N) % 4 * 1000)
    column = column_of(read(dataset, categories=("zip",)), "zip")
    assert column.levels == ("0", "1000", "2000", "3000")


@pytest.mark.parametrize(
    ("values", "second"),
    [
        ([decimal.Decimal("1.50"), decimal.Decimal("2.25")], 2.25),
        ([False, True], 1.0),
        ([datetime.date(1970, 1, 1), datetime.date(1970, 1, 2)], 86400.0),
        ([EPOCH, EPOCH + datetime.timedelta(0, 60)], 60.0),
        ([datetime.time(0), datetime.time(1)], 3600.0),
        ([datetime.timedelta(0), datetime.timedelta(0, 5)], 5.0),
        (np.array([1, 2], np.float16), 2.0),
        (np.array([1, 2], np.uint8), 2.0),
    ],
)
def test_every_type_of_number_is_one(
    tmp_path: Path, values: Any, second: float
) -> None:
    column = pa.array(values).take(pa.array(np.arange(N) // 2 % 2))
    raw = read(table(tmp_path, value=column))
    assert raw.feature_shape == (2,)
    assert encoded(column_of(raw, "value"), pa.array(values))[1] == [second]


def test_quantiles_do_not_mind_outliers(tmp_path: Path) -> None:
    values = np.random.default_rng(0).lognormal(0, 4, N)
    raw = read(table(tmp_path, value=values), numeric="quantile")
    found = np.array(encoded(column_of(raw, "value"), values))[:, 0]
    assert np.abs(found).max() < 3.2
    assert np.abs(found.mean()) < 0.1
    assert 0.9 < found.std() < 1.1
    order = np.argsort(values)
    assert (np.diff(found[order]) >= 0).all()


@pytest.mark.parametrize(
    "make",
    [
        fixed,
        lambda x: pa.array([row.tolist() for row in x]),
        lambda x: pa.array([row.tolist() for row in x], pa.large_list(pa.float32())),
        lambda x: fixed(x.astype(np.float16)),
        lambda x: pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(x)),
    ],
    ids=["fixed", "pandas", "large", "half", "tensor"],
)
def test_lists_of_one_length_are_features(tmp_path: Path, make: Any) -> None:
    x, y = blobs(N, 0)
    index = np.arange(N) * 7
    columns = {
        "features": make(x),
        "label": y,
        "__index_level_0__": index,
        "weight": index,
    }
    write(tmp_path / "a.parquet", columns)
    raw = read(f"parquet:{tmp_path}")
    assert raw.feature_shape == (4,)
    assert "not used beside features: weight" in said(raw)
    assert "__index" not in said(raw)


def test_a_tensor_keeps_its_shape(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (N, 3, 4, 5)).astype(np.uint8)
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(pixels)
    write(tmp_path / "a.parquet", {"features": tensors, "label": np.arange(N) % 2})
    assert read(f"parquet:{tmp_path}").feature_shape == (3, 4, 5)


def test_identifiers_texts_and_row_numbers_are_left_out_and_named(
    tmp_path: Path,
) -> None:
    columns = {
        "id": np.arange(N),
        "name": [f"person {i}" for i in range(N)],
        "comment": ["good", "bad"] * (N // 2),
        "empty": pa.array([None] * N, pa.float64()),
        "same": ["x"] * N,
    }
    dataset = table(tmp_path, **columns)
    raw = read(dataset)
    assert [column.name for column in raw.columns] == ["noise"]
    assert "they number the rows: id" in said(raw)
    assert "texts or identifiers: name, comment" in said(raw)
    assert "say nothing: same, empty" in said(raw)
    raw = read(dataset, features=("id", "c*", "noise"))
    assert [column.name for column in raw.columns] == ["id", "comment", "noise"]
    assert "texts or identifiers: comment" in said(read(dataset, drop=("id", "name")))


def test_a_table_of_texts_is_refused(tmp_path: Path) -> None:
    words = {"text": ["good", "bad"] * 50, "label": [0, 1] * 50}
    write(tmp_path / "a.parquet", words)
    with pytest.raises(
        DataError, match=r"no feature column is left.*texts are not for"
    ):
        read(f"parquet:{tmp_path}")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([np.inf] * N, "column odd has infinite values, the first in row"),
        ([[1.0, None]] * N, "column odd has .* nulls in its lists"),
        (pa.array([[1.0, 2.0]] * (N - 1) + [None]), "column odd has 1 nulls"),
    ],
)
def test_values_that_no_input_can_hold_are_named(
    tmp_path: Path, column: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(table(tmp_path, odd=column))


def test_types_that_are_no_features_are_left_out_or_refused(tmp_path: Path) -> None:
    dataset = table(tmp_path, odd=[{"a": 1}] * N)
    assert "hold no numbers or words: odd" in said(read(dataset))
    with pytest.raises(DataError, match="column odd is struct"):
        read(dataset, features=("odd",))


def test_ten_thousand_columns_are_read_in_seconds(tmp_path: Path) -> None:
    x, y = blobs(60, 0, d=10_000, classes=2)
    columns = {f"g{i}": x[:, i] for i in range(10_000)}
    write(tmp_path / "a.parquet", {**columns, "label": y})
    raw = read(f"parquet:{tmp_path}", numeric="standard")
    assert raw.feature_shape == (10_000,)

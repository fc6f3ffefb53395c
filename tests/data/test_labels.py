"""Labels of every kind become classes or targets as meant, or are refused in words."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from senn_ray.core.errors import DataError
from tests.data.made import blobs, fixed, read, said, two_parts, write

WORDS = np.array(["setosa", "versicolor", "virginica"])


@pytest.mark.parametrize(
    ("label", "classes"),
    [
        (lambda y: pa.array(WORDS[y]), tuple(WORDS)),
        (lambda y: pa.array(WORDS[y], pa.large_string()), tuple(WORDS)),
        (lambda y: pa.array(WORDS[y]).dictionary_encode(), tuple(WORDS)),
        (lambda y: pa.array(y + 1), (1, 2, 3)),
        (lambda y: pa.array(10 * y - 10, pa.int8()), (-10, 0, 10)),
        (lambda y: fixed(np.eye(3, dtype=np.int64)[y]), (0, 1, 2)),
        (lambda y: pa.array([[int(v)] for v in y]), (0, 1, 2)),
    ],
    ids=["words", "large", "dictionary", "from 1", "gaps", "one-hot", "column"],
)
def test_classes_of_any_kind_keep_their_names(
    tmp_path: Path, label: Any, classes: tuple[Any, ...]
) -> None:
    raw = read(two_parts(tmp_path, label))
    assert raw.labels is not None
    assert raw.labels.classes == classes
    np.testing.assert_array_equal(raw.test_y, blobs(60, 1)[1])
    assert ", ".join(map(str, classes)) in said(raw)


def test_truth_values_are_two_classes(tmp_path: Path) -> None:
    dataset = two_parts(tmp_path, lambda y: pa.array(y.astype(bool)), classes=2)
    raw = read(dataset)
    assert raw.labels is not None
    assert raw.labels.classes == (False, True)


@pytest.mark.parametrize(
    "label",
    [
        lambda y: pa.array(y.astype(float)),
        lambda y: pa.array(y.astype(np.float32)),
        lambda y: pa.array(np.arange(len(y)) * 7),
    ],
    ids=["double", "float", "price"],
)
def test_numbers_that_may_be_either_wait_for_a_word(tmp_path: Path, label: Any) -> None:
    dataset = two_parts(tmp_path, label)
    with pytest.raises(DataError, match=r"say which: --data.task classification"):
        read(dataset)
    assert read(dataset, task="regression").task == "regression"


def test_float_classes_are_classes_when_it_is_said(tmp_path: Path) -> None:
    raw = read(two_parts(tmp_path, lambda y: pa.array(y + 0.0)), task="classification")
    assert raw.labels is not None
    assert raw.labels.classes == (0.0, 1.0, 2.0)


def test_one_hot_rows_are_targets_when_it_is_said(tmp_path: Path) -> None:
    dataset = two_parts(tmp_path, lambda y: fixed(np.eye(3)[y]))
    assert "one-hot rows are taken as classes" in said(read(dataset))
    assert read(dataset, task="regression").num_outputs == 3


def test_counts_are_told_to_be_classes(tmp_path: Path) -> None:
    raw = read(two_parts(tmp_path))
    assert "(amounts, not classes? --data.task regression)" in said(raw)


def test_several_targets_are_a_list_or_columns(tmp_path: Path) -> None:
    x, _ = blobs(200, 0)
    lists = {"features": fixed(x), "label": fixed(x[:, :3] ** 2)}
    write(tmp_path / "a.parquet", lists)
    assert read(f"parquet:{tmp_path}/a.parquet").num_outputs == 3
    columns = {f"c{i}": x[:, i] for i in range(4)}
    write(tmp_path / "b.parquet", columns)
    raw = read(f"parquet:{tmp_path}/b.parquet", label=("c0", "c2"))
    assert (raw.task, raw.num_outputs, raw.feature_shape) == ("regression", 2, (2,))
    assert raw.labels is not None
    assert raw.labels.columns == ("c0", "c2")


@pytest.mark.parametrize("whole", [True, False])
def test_shards_of_two_types_are_one_or_named(tmp_path: Path, whole: bool) -> None:
    for part, n in (("train", 150), ("test", 60)):
        x, y = blobs(n, n)
        for shard, kind in enumerate((pa.int64(), pa.float64())):
            rows = slice(shard, None, 2)
            values = y[rows] if whole or not shard else y[rows] + 0.5
            columns = {"features": fixed(x[rows]), "label": pa.array(values).cast(kind)}
            write(tmp_path / f"{part}-{shard}.parquet", columns)
    if whole:
        assert read(f"parquet:{tmp_path}").num_outputs == 3
        return
    with pytest.raises(DataError, match=r"whole numbers in .*-0.*fractions in .*-1"):
        read(f"parquet:{tmp_path}")


def mask(y: np.ndarray) -> Any:
    return pa.array(y, mask=np.arange(len(y)) % 40 == 3)


def holes(y: np.ndarray) -> Any:
    return pa.array(np.where(np.arange(len(y)) % 40 == 3, np.nan, y / 7))


def rare(y: np.ndarray) -> Any:
    return pa.array(np.where(np.arange(len(y)) == 0, 7, y % 2))


def unseen(y: np.ndarray) -> Any:
    return pa.array(np.where((len(y) == 60) & (np.arange(60).max() > 0), y + 1, y))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (mask, r"column label has 4 nulls: .*train.parquet, row 3; drop"),
        (holes, r"4 training labels hold NaN .*the first is number 3"),
        (rare, "class 7 has one training example, .* add examples of it"),
        (unseen, r"\d+ test examples are of classes that the training part lacks: 3"),
        (lambda y: pa.array(y * 0 + 1), "all training labels are 1.*nothing to learn"),
        (lambda y: pa.array(["x"] * len(y)), "all training labels are x"),
        (lambda y: fixed(np.stack([y, y], 1)), "labels are 2 whole numbers each"),
        (lambda y: pa.array([{"a": 1}] * len(y)), "label is struct.*words, truth"),
        (lambda y: pa.array([[1] * (i % 2 + 1) for i in range(len(y))]), "unequal"),
        (lambda y: pa.array([str(i) for i in range(len(y))]), "one training example"),
    ],
)
def test_unfit_labels_are_refused_with_what_to_do(
    tmp_path: Path, label: Any, message: str
) -> None:
    dataset = two_parts(tmp_path, label)
    with pytest.raises(DataError, match=message):
        read(dataset)


def test_parts_of_unlike_labels_are_refused(tmp_path: Path) -> None:
    dataset = two_parts(tmp_path)
    x, y = blobs(60, 1)
    write(tmp_path / "test.parquet", {"features": fixed(x), "label": WORDS[y]})
    with pytest.raises(
        DataError, match="training labels are integers, test labels words"
    ):
        read(dataset)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"img": [b"x"], "fine_label": [1]},
            r"--data.label fine_label --data.image img",
        ),
        (
            {"age": [1], "churn": ["no"]},
            r"--data.label churn; the columns are age, churn",
        ),
        ({"species": ["a"], "length": [1.0]}, "--data.label species"),
    ],
)
def test_a_table_without_a_label_column_says_how_to_name_it(
    tmp_path: Path, columns: Any, message: str
) -> None:
    write(tmp_path / "a.parquet", columns)
    with pytest.raises(DataError, match=message):
        read(f"parquet:{tmp_path}")


def test_a_column_that_does_not_exist_has_a_likely_one(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"income": [1.0], "label": [1]})
    for key in ("features", "drop", "categories"):
        with pytest.raises(
            DataError, match=r"'incme', which is no .*did you mean income"
        ):
            read(f"parquet:{tmp_path}", **{key: ("incme",)})

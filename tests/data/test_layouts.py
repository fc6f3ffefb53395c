"""Where the files of a data set lie: every usual layout is read, or refused in words."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from senn_ray.core.errors import DataError
from senn_ray.data.files import part_of
from tests.data.made import (
    blobs,
    declared,
    encoded,
    fixed,
    read,
    said,
    two_parts,
    write,
)


def table(n: int = 150, seed: int = 0) -> pa.Table:
    x, y = blobs(n, seed)
    return pa.table({"features": fixed(x), "label": y})


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train.parquet", "train"),
        ("train-00000-of-00003.parquet", "train"),
        ("training_7.csv.gz", "train"),
        ("TEST.parquet", "test"),
        ("val.parquet", "validation"),
        ("train_backup.parquet", None),
        ("trainable_params.parquet", None),
        ("testimony.csv", None),
        ("part-00000-ab12.c000.snappy.parquet", None),
    ],
)
def test_parts_are_told_by_the_whole_name(name: str, part: str | None) -> None:
    assert part_of(name) == part


def test_the_folder_of_a_hub_clone_is_read_with_class_names(tmp_path: Path) -> None:
    names = ["ant", "bee", "cow"]
    for seed, (part, n) in enumerate((("train", 150), ("test", 60))):
        x, y = blobs(n, seed)
        for shard in range(2):
            rows = slice(shard, None, 2)
            columns = {"features": fixed(x[rows]), "label": y[rows]}
            path = tmp_path / "data" / f"{part}-{shard:05d}-of-00002.parquet"
            write(path, declared(columns, names))
    (tmp_path / "README.md").touch()
    raw = read(f"parquet:{tmp_path}")
    assert raw.labels is not None
    assert raw.labels.classes == ("ant", "bee", "cow")
    assert (len(raw.train_y), len(raw.test_y)) == (150, 60)


def test_names_in_another_order_mean_the_same_classes(tmp_path: Path) -> None:
    orders = {"train": ["cat", "dog", "owl"], "test": ["owl", "cat", "dog"]}
    for seed, (part, names) in enumerate(orders.items()):
        x, y = blobs(150, seed)
        own = np.array([names.index(orders["train"][c]) for c in y])
        columns = {"features": fixed(x), "label": own}
        write(tmp_path / f"{part}.parquet", declared(columns, names))
    raw = read(f"parquet:{tmp_path}")
    np.testing.assert_array_equal(raw.test_y, blobs(150, 1)[1])
    assert raw.labels is not None
    assert raw.labels.classes == ("cat", "dog", "owl")


@pytest.mark.parametrize("present", [[0, 1, 3], [0, 1, 2]])
def test_declared_classes_without_an_example_are_named(
    tmp_path: Path, present: list[int]
) -> None:
    names = ["ant", "bee", "cow", "dog"]
    for seed, part in enumerate(("train", "test")):
        x, y = blobs(150, seed)
        columns = {"features": fixed(x), "label": np.array(present)[y]}
        write(tmp_path / f"{part}.parquet", declared(columns, names))
    (absent,) = set(range(4)) - set(present)
    with pytest.raises(DataError, match=f"training example: {names[absent]}; add"):
        read(f"parquet:{tmp_path}")
    raw = read(f"parquet:{tmp_path}", absent_classes="drop")
    assert raw.labels is not None
    assert raw.labels.classes == tuple(names[i] for i in present)


def test_a_class_number_without_a_name_is_refused(tmp_path: Path) -> None:
    x, y = blobs(150, 0)
    write(
        tmp_path / "a.parquet", declared({"features": fixed(x), "label": y}, ["a", "b"])
    )
    with pytest.raises(DataError, match="has class 2, but its schema has 2 names"):
        read(f"parquet:{tmp_path}")


def test_validation_files_are_named_or_used_for_testing(tmp_path: Path) -> None:
    two_parts(tmp_path)
    write(tmp_path / "validation.parquet", table(40, 9))
    assert "validation part (40 examples) is not used" in said(
        read(f"parquet:{tmp_path}")
    )
    (tmp_path / "test.parquet").unlink()
    raw = read(f"parquet:{tmp_path}")
    assert len(raw.test_y) == 40
    assert "validation part is used for testing" in said(raw)


def test_stray_files_are_not_read_and_named(tmp_path: Path) -> None:
    dataset = two_parts(tmp_path)
    whole = pq.read_table(tmp_path / "train.parquet")
    write(tmp_path / "train_backup.parquet", whole)
    write(tmp_path / "train-00001.parquet", whole)
    raw = read(dataset)
    assert len(raw.train_y) == 150
    assert "train_backup.parquet" in said(raw)
    assert "train-00001.parquet" in said(raw)


@pytest.mark.parametrize("parts", [True, False])
def test_what_spark_writes_is_read(tmp_path: Path, parts: bool) -> None:
    for seed, part in enumerate(("train", "test")):
        folder = tmp_path / (f"{part}.parquet" if parts else "")
        for i in range(2):
            name = f"part-{i + 2 * seed:05d}-ab12.c000.snappy.parquet"
            write(folder / name, table(60, 2 * seed + i))
        (folder / "_SUCCESS").touch()
        (folder / "._SUCCESS.crc").touch()
    raw = read(f"parquet:{tmp_path}")
    assert len(raw.train_y) + len(raw.test_y) == 240
    assert raw.own_split is not parts


def test_empty_shards_are_passed_over(tmp_path: Path) -> None:
    two_parts(tmp_path)
    whole = pq.read_table(tmp_path / "train.parquet")
    (tmp_path / "train.parquet").unlink()
    for i, rows in enumerate((whole.slice(0, 70), whole.slice(0, 0), whole.slice(70))):
        write(tmp_path / f"train-{i}.parquet", rows)
    assert len(read(f"parquet:{tmp_path}").train_y) == 150


def test_hive_partitions_are_columns(tmp_path: Path) -> None:
    for year in (2020, 2021):
        rng = np.random.default_rng(year)
        columns = {"a": rng.normal(size=60), "label": rng.integers(0, 2, 60)}
        write(tmp_path / f"year={year}" / "part-0.parquet", columns)
    raw = read(f"parquet:{tmp_path}")
    assert [column.name for column in raw.columns] == ["a", "year"]
    assert len(np.unique(raw.train_x[:, 1])) == 2


@pytest.mark.parametrize("kind", ["parquet", "arrow", "feather", "csv", "csv.gz"])
def test_one_file_of_any_format_is_split(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    whole = pa.table({
        "a": rng.normal(size=200),
        "b": rng.integers(0, 99, 200),
        "label": np.array(["no", "yes"])[np.arange(200) % 4 // 3],
    })
    path = tmp_path / f"data.{kind}"
    if kind == "parquet":
        write(path, whole)
    elif kind in {"arrow", "feather"}:
        feather.write_feather(whole, str(path))
    else:
        with (
            pa.CompressedOutputStream(str(path), "gzip")
            if "gz" in kind
            else (pa.OSFile(str(path), "wb")) as out
        ):
            pyarrow.csv.write_csv(whole, out)
    prefix = {"feather": "arrow", "csv.gz": "csv"}.get(kind, kind)
    raw = read(f"{prefix}:{path}")
    assert (len(raw.train_y), len(raw.test_y)) == (160, 40)
    assert np.bincount(raw.test_y).tolist() == [30, 10]
    assert "40 of 200 examples are kept for it" in said(raw)
    more = read(f"{prefix}:{path}", test_fraction=0.5)
    assert len(more.test_y) == 100
    np.testing.assert_array_equal(read(f"{prefix}:{tmp_path}/*").test_x, raw.test_x)


def test_a_pattern_and_a_folder_name_their_parts(tmp_path: Path) -> None:
    two_parts(tmp_path / "deep")
    raw = read(f"parquet:{tmp_path}/deep/t*.parquet")
    assert (len(raw.train_y), len(raw.test_y)) == (150, 60)
    with pytest.raises(DataError, match="no file matches"):
        read(f"parquet:{tmp_path}/nothing*.parquet")
    with pytest.raises(DataError, match="no file in that folder ends in"):
        read(f"csv:{tmp_path}")


def test_a_column_may_say_which_part_a_row_is(tmp_path: Path) -> None:
    x, y = blobs(100, 0)
    which = np.array(["train", "Test", "valid", "train", "train"])[np.arange(100) % 5]
    write(tmp_path / "a.parquet", {"features": fixed(x), "label": y, "part": which})
    raw = read(f"parquet:{tmp_path}", split="part")
    assert (len(raw.train_y), len(raw.test_y)) == (80, 20)
    assert "20 validation examples of column part are added" in said(raw)
    np.testing.assert_allclose(raw.test_x, x[1::5])
    with pytest.raises(DataError, match=r"data.split label holds 0, 1, 2; it must say"):
        read(f"parquet:{tmp_path}", split="label", label=("part",))


def test_files_of_unlike_columns_are_named(tmp_path: Path) -> None:
    two_parts(tmp_path)
    whole = pq.read_table(tmp_path / "train.parquet")
    (tmp_path / "train.parquet").unlink()
    write(tmp_path / "train-0.parquet", whole)
    write(tmp_path / "train-1.parquet", whole.append_column("more", whole["label"]))
    with pytest.raises(DataError, match=r"train-1.parquet have unlike columns: more"):
        read(f"parquet:{tmp_path}")
    words = pa.array(["a"] * len(whole))
    write(tmp_path / "train-1.parquet", whole.set_column(1, "label", words))
    with pytest.raises(
        DataError, match=r"label is int64 in .*train-0.* string in .*-1"
    ):
        read(f"parquet:{tmp_path}")


def test_folders_of_images_are_read_by_class(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, n in (("train", 12), ("test", 6)):
        for name in ("cat", "dog"):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for i in range(n):
                pixels = rng.integers(0, 255, (6, 5, 3)).astype(np.uint8)
                (folder / f"{i}.png").write_bytes(encoded(pixels))
    raw = read(f"imagefolder:{tmp_path}")
    assert (raw.feature_shape, len(raw.train_y), len(raw.test_y)) == ((3, 6, 5), 24, 12)
    assert raw.labels is not None
    assert raw.labels.classes == ("cat", "dog")
    assert len(read(f"imagefolder:{tmp_path}/train").test_y) == 5
    (tmp_path / "train" / "cat" / "3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cat/3.png: cannot identify"):
        read(f"imagefolder:{tmp_path}")
    with pytest.raises(DataError, match="no folders with images"):
        read(f"imagefolder:{tmp_path}/train/cat")


@pytest.mark.parametrize(
    ("name", "task", "width", "outputs"),
    [
        ("wine", "classification", 13, 3),
        ("iris", "classification", 4, 3),
        ("breast_cancer", "classification", 30, 2),
        ("diabetes", "regression", 10, 1),
        ("linnerud", "regression", 3, 3),
    ],
)
def test_sets_of_scikit_learn_have_names(
    name: str, task: str, width: int, outputs: int
) -> None:
    raw = read(f"sklearn:{name}")
    assert (raw.task, raw.feature_shape, raw.num_outputs) == (task, (width,), outputs)
    assert raw.labels is not None
    if name == "iris":
        assert raw.labels.classes == ("setosa", "versicolor", "virginica")

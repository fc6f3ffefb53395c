"""A data set in a file is the data set it would be in memory."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data.datasets import load
from senn_ray.data.mapped import Mapped, open_rows, permuted, write_rows
from senn_ray.runs.run import train_run
from tests.training.problems import rings, spec

ROWS = np.arange(60, dtype=np.float32).reshape(20, 3)


@pytest.fixture
def mapped(tmp_path: Path) -> Mapped:
    return write_rows(tmp_path / "a.rows", lambda: [ROWS[:7], ROWS[7:]])


def test_rows_are_read_back_and_written_once(mapped: Mapped) -> None:
    np.testing.assert_array_equal(mapped, ROWS)
    path = Path(str(mapped.filename))
    again = write_rows(path, lambda: pytest.fail("written twice"))
    np.testing.assert_array_equal(again, ROWS)
    assert not mapped.flags.writeable


def test_a_file_travels_by_its_name_and_a_part_of_it_by_its_values(
    mapped: Mapped,
) -> None:
    whole, part = pickle.dumps(mapped), pickle.dumps(mapped[3:5])
    assert b"a.rows" in whole
    assert ROWS.tobytes() not in whole
    assert isinstance(pickle.loads(whole), Mapped)
    np.testing.assert_array_equal(pickle.loads(whole), ROWS)
    np.testing.assert_array_equal(pickle.loads(part), ROWS[3:5])


def test_another_order_is_another_file(mapped: Mapped) -> None:
    order = np.random.default_rng(0).permutation(20)
    moved = permuted(mapped, order, "shuffled")
    assert isinstance(moved, Mapped)
    np.testing.assert_array_equal(moved, ROWS[order])
    np.testing.assert_array_equal(permuted(ROWS, order, "shuffled"), ROWS[order])


def test_a_node_without_the_file_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"set data\.root to a folder that all"):
        open_rows(tmp_path / "nowhere", "<f4", 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    raw = rings(400)
    for part, x, y in (
        ("train", raw.train_x, raw.train_y),
        ("test", raw.test_x, raw.test_y),
    ):
        features = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
        table = pa.table({"features": features, "label": pa.array(y)})
        pq.write_table(table, tmp_path / f"{part}.parquet", row_group_size=64)
    return tmp_path


def test_a_run_from_a_file_is_the_run_from_memory(folder: Path) -> None:
    settings = DataConfig(dataset=f"parquet:{folder}", root=folder / "cache")
    inside = load(settings)
    outside = load(settings.model_copy(update={"memory_gb": 0.0}))
    assert isinstance(outside.train_x, Mapped)
    assert not isinstance(inside.train_x, Mapped)
    np.testing.assert_array_equal(outside.train_x, inside.train_x)
    np.testing.assert_array_equal(outside.train_y, inside.train_y)
    run = replace(spec(train__min_steps=60, evaluate_test=True), data=settings)
    records = [
        train_run(run, raw) for raw in (inside, pickle.loads(pickle.dumps(outside)))
    ]
    assert records[0].checksum == records[1].checksum
    assert records[0].test_loss == records[1].test_loss


def test_files_that_were_written_again_are_read_again(folder: Path) -> None:
    settings = DataConfig(
        dataset=f"parquet:{folder}", root=folder / "cache", memory_gb=0.0
    )
    before = np.array(load(settings).train_x)
    table = pq.read_table(folder / "train.parquet")
    pq.write_table(table.slice(0, 300), folder / "train.parquet")
    assert len(load(settings).train_x) == 300 < len(before)

"""A data set in a file is the data set it would be in memory."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data.datasets import load
from senn_ray.data.examples import RawData
from senn_ray.data.mapped import Mapped, open_rows
from senn_ray.data.splits import examples, split
from senn_ray.runs.run import train_run
from senn_ray.service.freezing import hash_of
from tests.training.problems import rings, spec

Load = Callable[..., RawData]


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


@pytest.fixture
def mapped(folder: Path) -> Load:
    def inner(**settings: object) -> RawData:
        config = DataConfig(
            dataset=f"parquet:{folder}", root=folder / "cache", memory_gb=0.0
        )
        return load(config.model_copy(update=settings))

    return inner


def kept(folder: Path) -> set[str]:
    return {p.name for p in folder.glob("cache/rows/**/*") if p.suffix == ".npy"}


def test_a_file_travels_by_its_name_and_a_part_of_it_by_its_values(
    mapped: Load,
) -> None:
    rows = mapped().train_x
    whole, part = pickle.dumps(rows), pickle.dumps(rows[3:5])
    assert rows.tobytes() not in whole
    assert isinstance(pickle.loads(whole), Mapped)
    assert not rows.flags.writeable
    np.testing.assert_array_equal(pickle.loads(whole), rows)
    np.testing.assert_array_equal(pickle.loads(part), rows[3:5])


def test_a_node_without_the_file_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"set data\.root to a folder that all"):
        open_rows(tmp_path / "nowhere.npy")


def test_a_run_from_a_file_is_the_run_from_memory(mapped: Load) -> None:
    inside, outside = mapped(memory_gb=1.0), mapped()
    assert isinstance(outside.train_x, Mapped)
    assert not isinstance(inside.train_x, Mapped)
    assert hash_of(inside) == hash_of(outside)
    run = spec(train__min_steps=60, evaluate_test=True)
    run = replace(run, data=run.data.model_copy(update={"dataset": inside.name}))
    records = [
        train_run(run, raw) for raw in (inside, pickle.loads(pickle.dumps(outside)))
    ]
    assert records[0].checksum == records[1].checksum
    assert records[0].test_loss == records[1].test_loss


def test_every_split_reads_the_same_file(mapped: Load, folder: Path) -> None:
    mapped()
    before = kept(folder)
    for settings in ({"val_per_class": 7}, {"val_per_class": 31, "per_class": 9}):
        outside, inside = mapped(**settings), mapped(**settings, memory_gb=1.0)
        config = DataConfig.model_validate(settings)
        for ours, theirs in zip(
            examples(outside, split(outside, config)),
            examples(inside, split(inside, config)),
            strict=True,
        ):
            chosen = torch.arange(len(theirs))
            for moved in (ours, ours.to("cpu", torch.float64)):
                assert len(moved) == len(theirs)
                x, y = moved.batch(chosen)
                torch.testing.assert_close(x.float(), theirs.batch(chosen)[0])
                assert torch.equal(y, theirs.batch(chosen)[1])
    assert kept(folder) == before
    assert len([name for name in before if name.startswith("train")]) == 1


def test_files_that_were_written_again_replace_their_copies(
    mapped: Load, folder: Path
) -> None:
    before = np.array(mapped().train_x)
    names, other = kept(folder), folder / "cache/rows/another_data_set.npy"
    other.touch()
    table = pq.read_table(folder / "train.parquet")
    pq.write_table(table.slice(0, 300), folder / "train.parquet")
    assert len(mapped().train_x) == 300 < len(before)
    assert len(kept(folder) - {other.name}) == len(names)
    assert not kept(folder) & names
    assert other.exists()


def test_a_copy_that_was_cut_short_is_written_again(mapped: Load, folder: Path) -> None:
    expected = np.array(mapped().train_x)
    for path in folder.glob("cache/rows/*/train-*.npy"):
        path.rename(path.with_name(f".{path.name}.1-2.partial"))
    np.testing.assert_array_equal(mapped().train_x, expected)
    assert not list(folder.glob("cache/rows/*/.*.partial"))

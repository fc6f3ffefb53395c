"""Files stay whole while disks and processes fail."""

import contextlib
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from senn_ray.core import files
from senn_ray.core.errors import DataError

BYTES = 2**20


def write_torch(path: Path) -> None:
    with files.replacing(path) as partial:
        torch.save(torch.rand(BYTES // 4), partial)


def write_parquet(path: Path) -> None:
    with files.replacing(path) as partial:
        pq.write_table(pa.table({"x": np.random.default_rng(0).random(BYTES)}), partial)


WRITERS = {
    "bytes": lambda path: files.write_bytes(path, bytes(BYTES)),
    "text": lambda path: files.write_text(path, "é" * BYTES),
    "json": lambda path: files.write_json(path, {"x": "y" * BYTES}),
    "torch": write_torch,
    "parquet": write_parquet,
}
each_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Path]:
    """A file that has to survive; nothing else may be left beside it."""
    path = tmp_path / "file"
    path.write_text("old")
    yield path
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Let the system refuse to write more than some kilobytes to a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES // 8, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def failing(*args: object) -> None:
    del args
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@each_writer
def test_what_is_written_replaces_what_was_there(
    old: Path, write: Callable[[Path], None]
) -> None:
    write(old)
    assert old.stat().st_size >= BYTES


@each_writer
@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_leaves_the_old_file(
    old: Path, write: Callable[[Path], None]
) -> None:
    with pytest.raises((OSError, RuntimeError)):
        write(old)
    assert old.read_text() == "old"


@each_writer
@pytest.mark.parametrize(
    "step", [(os, "fsync"), (Path, "replace")], ids=["sync", "move"]
)
def test_a_disk_that_fails_at_the_end_leaves_the_old_file(
    old: Path,
    write: Callable[[Path], None],
    step: tuple[object, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(*step, failing)
    with pytest.raises(OSError, match="space"):
        write(old)
    assert old.read_text() == "old"


def test_what_is_no_json_leaves_the_old_file(old: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(old, {"x": float("nan")})
    assert old.read_text() == "old"


def test_a_process_killed_while_it_writes_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state-1.pt"
    path.write_text("old")
    program = """
import os, pathlib, signal, sys
from senn_ray.core.files import replacing
with replacing(pathlib.Path(sys.argv[1])) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    # What is left over looks like none of the files that anything searches for.
    assert list(tmp_path.glob("state-*")) == [path]


def test_readers_see_whole_files_while_several_threads_write(tmp_path: Path) -> None:
    path, over = tmp_path / "file.json", threading.Event()
    values = [{"x": [number] * 5000} for number in range(3)]
    files.write_json(path, values[0])

    def write(value: dict[str, list[int]]) -> None:
        while not over.is_set():
            files.write_json(path, value)

    writers = [threading.Thread(target=write, args=[value]) for value in values]
    for writer in writers:
        writer.start()
    try:
        seen = [files.read_json(path) for _ in range(100)]
    finally:
        over.set()
        for writer in writers:
            writer.join()
    assert all(found in values for found in seen)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with files.replacing_folder(folder) as fresh:
        (fresh / "a").write_text("1")
    with contextlib.suppress(KeyError), files.replacing_folder(folder) as fresh:
        (fresh / "a").write_text("2")
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (folder / "a").read_text() == "1"
    with files.replacing_folder(folder) as fresh:
        (fresh / "b").write_text("3")
    assert [path.name for path in folder.iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_json_that_is_missing_is_empty_and_damaged_json_is_one_line(
    tmp_path: Path,
) -> None:
    assert files.read_json(tmp_path / "none.json") == {}
    (tmp_path / "half.json").write_text(json.dumps({"x": 1})[:-1])
    with pytest.raises(DataError, match=r"half\.json is damaged .*restore it"):
        files.read_json(tmp_path / "half.json")


def test_the_hash_of_arrays_sees_every_byte_and_takes_empty_ones() -> None:
    one, other = np.zeros((3, 2), np.uint8), np.zeros((3, 2), np.uint8)
    empty = np.zeros((0, 2))
    assert files.hash_arrays(one, empty) == files.hash_arrays(other)
    other[2, 1] = 1
    assert files.hash_arrays(one) != files.hash_arrays(other)

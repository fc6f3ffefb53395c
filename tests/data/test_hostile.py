"""Files that were made to harm are refused in a line, and never executed."""

import gzip
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from senn_ray.core.errors import DataError
from senn_ray.data import delimited
from tests.data.made import blobs, read, write


class Harm:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickles_in_an_archive_are_not_loaded(tmp_path: Path) -> None:
    x = np.array([Harm(tmp_path / "harmed")] * 4, dtype=object)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(4))
    with pytest.raises(DataError, match=r"pickles.*never loaded"):
        read(f"npz:{tmp_path}/a.npz")
    assert not (tmp_path / "harmed").exists()


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((10**6, 4)), y=np.zeros(10**6))
    with pytest.raises(DataError, match=r"more than data.memory_gb"):
        read(f"npz:{tmp_path}/a.npz", memory_gb=0.01)


def test_text_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "FREE_BYTES", 1e6)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,label\n" + b"0" * 40_000_000))
    with pytest.raises(DataError, match=r"unpack to more than .* which is no text"):
        read(f"csv:{tmp_path}/a.csv.gz")


@pytest.mark.parametrize("contents", [b"", b"no archive", b"PK\x03\x04 torn"])
def test_damaged_archives_are_refused(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(contents)
    with pytest.raises(DataError, match=r"npz:.*cannot be read"):
        read(f"npz:{tmp_path}/a.npz")


def test_an_array_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**15,)}
    np.lib.format.write_array_header_1_0(out, header)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", out.getvalue())
        archive.writestr("y.npy", out.getvalue())
    with pytest.raises(DataError, match="npz:"):
        read(f"npz:{tmp_path}/a.npz")


@pytest.mark.parametrize("keys", ["x_train y_train x_test y_test", "x y", "X Y"])
def test_archives_of_arrays_are_read(tmp_path: Path, keys: str) -> None:
    arrays = [*blobs(100, 0), *blobs(40, 1)]
    np.savez(tmp_path / "a.npz", **dict(zip(keys.split(), arrays, strict=False)))
    raw = read(f"npz:{tmp_path}/a.npz")
    assert raw.feature_shape == (4,)
    assert len(raw.train_y) == (100 if "test" in keys else 80)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_bytes_that_were_changed_end_in_one_line(tmp_path: Path, kind: str) -> None:
    x, y = blobs(60, 0)
    columns = {**{f"f{i}": x[:, i] for i in range(4)}, "label": y}
    write(tmp_path / "whole.parquet", columns)
    whole = bytearray((tmp_path / "whole.parquet").read_bytes())
    rng, path = np.random.default_rng(0), tmp_path / f"a.{kind}"
    refused = 0
    for _ in range(20):
        torn = bytearray(whole)
        for at in rng.integers(0, len(whole), 40):
            torn[at] = rng.integers(256)
        path.write_bytes(torn)
        try:
            read(f"{kind}:{path}")
        except DataError:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line is empty"),
        ("a,label\n1,x\n2\n", "Expected 2 columns, got 1"),
        ("a,a,label\n1,2,x\n", "two columns have the name 'a'"),
        ("a,label\n", "holds no examples"),
    ],
)
def test_lines_that_do_not_fit_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read(f"csv:{tmp_path}/a.csv")


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("a;b;label", "{n};{n}.5;{c}"),
        ("a\tb\tlabel", "{n}\t{n}.5\t{c}"),
        ("\ufeffa, b, label", "{n}, {n}.5, {c}"),
        ("a,b,label", '{n},"{n}.5",{c}\r'),
    ],
)
def test_the_ways_of_delimiting_are_told_apart(
    tmp_path: Path, header: str, line: str
) -> None:
    lines = [line.format(n=i, c="no" if i % 2 else "yes") for i in range(60)]
    (tmp_path / "a.csv").write_text("\n".join([header, *lines]) + "\n")
    raw = read(f"csv:{tmp_path}/a.csv")
    assert [(column.name, column.kind) for column in raw.columns] == [
        ("a", "number"), ("b", "number"),
    ]  # fmt: skip
    assert raw.labels is not None
    assert raw.labels.classes == ("no", "yes")

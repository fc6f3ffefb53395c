"""Parquet data sets, local or on any file system that pyarrow knows.

A folder holds ``train*.parquet`` and ``test*.parquet``. Each file has a column
``label`` (integers: classes; floats: regression) and one of

- ``image``: encoded images (bytes, or a struct with a field ``bytes``), or raw pixels
  as ``fixed_size_binary`` with their shape under ``shape`` in the schema's metadata,
- ``features``: a fixed-size list of numbers.
"""

import hashlib
import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from PIL import Image

from senn_ray.core.errors import DataError
from senn_ray.data.examples import RawData
from senn_ray.data.mapped import write_rows
from senn_ray.data.sources import Part, assemble, plain_features

RGB_DIMS = 3


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Where a data set is, and where it may be unpacked."""

    name: str
    system: pafs.FileSystem
    files: list[pafs.FileInfo]
    memory_bytes: float
    cache: Path


def read(uri: str, *, memory_bytes: float = math.inf, cache: Path = Path()) -> RawData:
    """Read the training and test files of a folder.

    Features that do not fit go to a file, row group by row group; they are never in
    memory as a whole.

    Args:
        uri: Local path, or a URI such as ``s3://bucket/prefix``.
        memory_bytes: The most that the features of a part may take in memory.
        cache: Folder of the files of those that take more.

    Raises:
        DataError: if files are missing or damaged, or their columns do not fit.
    """
    name = f"parquet:{uri}"
    try:
        system, path = _locate(uri)
        listing = system.get_file_info(pafs.FileSelector(path))
        source = _Source(
            name=name,
            system=system,
            files=[info for info in listing if info.is_file],
            memory_bytes=memory_bytes,
            cache=cache,
        )
        (train, shape), (test, other) = (_part(source, w) for w in ("train", "test"))
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{name} cannot be read: {reason}") from error
    if shape != other:
        raise DataError(
            f"{name}: training examples have shape {list(shape)}, test "
            f"examples {list(other)}; both parts need the same shape"
        )
    return assemble(name, train=train, test=test, feature_shape=shape)


def _locate(uri: str) -> tuple[pafs.FileSystem, str]:
    if "://" in uri:
        return pafs.FileSystem.from_uri(uri)
    return pafs.LocalFileSystem(), str(Path(uri).expanduser().absolute())


def _part(source: _Source, which: str) -> tuple[Part, tuple[int, ...]]:
    """Read one part; return it with the shape of its examples."""
    pattern = re.compile(rf"{which}[^/]*\.parquet$")
    chosen = sorted(
        (f for f in source.files if pattern.match(f.base_name)), key=lambda f: f.path
    )
    if not chosen:
        raise DataError(f"{source.name}: no file {which}*.parquet in that folder")
    first, _ = next(_groups(source.system, chosen[0].path))
    shape = first.shape[1:]

    def groups() -> Iterator[Part]:
        for file in chosen:
            for x, y in _groups(source.system, file.path):
                if x.shape[1:] != shape:
                    raise DataError(
                        f"{source.name}: {which} files differ in the shape of an "
                        f"example: {sorted([list(shape), list(x.shape[1:])])}"
                    )
                yield x, y

    rows = sum(_rows(source.system, file.path) for file in chosen)
    if rows * first[0].nbytes <= source.memory_bytes:
        xs, ys = zip(*groups(), strict=True)
        return (np.concatenate(xs), np.concatenate(ys)), shape
    labels = [_label_column(source.system, file.path) for file in chosen]
    x = write_rows(
        source.cache / f"{_key(source, chosen)}.rows",
        lambda: (plain_features(x) for x, _ in groups()),
    )
    return (x, np.concatenate(labels)), shape


def _key(source: _Source, files: list[pafs.FileInfo]) -> str:
    """Name the contents of some files: written again, they have another name."""
    facts = [(file.path, file.size, file.mtime_ns) for file in files]
    return hashlib.sha256(f"{source.name} {facts}".encode()).hexdigest()[:16]


@contextmanager
def _opened(system: pafs.FileSystem, path: str) -> Iterator[pq.ParquetFile]:
    try:
        with system.open_input_file(path) as source:
            yield pq.ParquetFile(source)
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is damaged or not Parquet: {reason}") from error


def _rows(system: pafs.FileSystem, path: str) -> int:
    with _opened(system, path) as file:
        return file.metadata.num_rows


def _label_column(system: pafs.FileSystem, path: str) -> np.ndarray:
    with _opened(system, path) as file:
        return _labels(path, file.read(["label"])["label"])


def _groups(system: pafs.FileSystem, path: str) -> Iterator[Part]:
    """Read a file one row group after the other."""
    with _opened(system, path) as file:
        _check_columns(path, file.schema_arrow.names, file.metadata.num_rows)
        for number in range(file.num_row_groups):
            place = f"{path}, row group {number}" if number else path
            table = file.read_row_group(number)
            if table.num_rows:
                yield _decode_group(place, table)


def _check_columns(path: str, names: list[str], rows: int) -> None:
    if "label" not in names or not {"image", "features"} & set(names):
        raise DataError(
            f"{path} needs a column label and a column image or features; it has "
            f"{', '.join(names) or 'none'}"
        )
    if rows == 0:
        raise DataError(f"{path} holds no examples")


def _decode_group(path: str, table: pa.Table) -> Part:
    for column in {"label", "image", "features"} & set(table.column_names):
        if table[column].null_count:
            raise DataError(
                f"{path}: column {column} has {table[column].null_count} nulls"
            )
    labels = _labels(path, table["label"])
    if "image" in table.column_names:
        return _images(path, table), labels
    return _features(path, table["features"]), labels


def _labels(path: str, column: pa.ChunkedArray) -> np.ndarray:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(
            f"{path}: column label is {kind}; it must be integers 0, 1, 2, ... "
            "(classes) or floats (regression)"
        )
    return column.to_numpy()


def _features(path: str, column: pa.ChunkedArray) -> np.ndarray:
    kind = column.type
    if not pa.types.is_fixed_size_list(kind) or not _is_number(kind.value_type):
        raise DataError(
            f"{path}: column features is {kind}; it must be a fixed_size_list of "
            "numbers"
        )
    parts = [chunk.flatten() for chunk in column.chunks]
    values = pa.chunked_array(parts, kind.value_type)
    if values.null_count:
        raise DataError(f"{path}: column features has {values.null_count} nulls in it")
    return values.to_numpy().reshape(-1, kind.list_size)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _images(path: str, table: pa.Table) -> np.ndarray:
    column = table["image"]
    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        chunks = [chunk.field("bytes") for chunk in column.chunks]
        column = pa.chunked_array(chunks, column.type.field("bytes").type)
    kind = column.type
    if pa.types.is_fixed_size_binary(kind):
        return _raw_pixels(path, table)
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise DataError(
            f"{path}: column image is {kind}; it must hold encoded images as binary "
            "(or a struct with a field bytes), or raw pixels as fixed_size_binary"
        )
    return _decoded(path, column)


def _raw_pixels(path: str, table: pa.Table) -> np.ndarray:
    field, width = table.schema.field("image"), table["image"].type.byte_width
    metadata = {**(table.schema.metadata or {}), **(field.metadata or {})}
    text = metadata.get(b"shape", b"").decode()
    shape = tuple(int(size) for size in re.findall(r"\d+", text))
    if int(np.prod(shape)) != width or not shape:
        raise DataError(
            f"{path}: raw images of {width} bytes need their shape in the schema's "
            f"metadata, such as shape = '[1, 28, 28]'; it has {text or 'none'!r}"
        )
    pixels = b"".join(table["image"].to_pylist())
    return np.frombuffer(pixels, dtype=np.uint8).reshape(-1, *shape)


def _decoded(path: str, column: pa.ChunkedArray) -> np.ndarray:
    first = _decode(path, 0, column[0].as_py())
    images = np.empty((len(column), *first.shape), dtype=np.uint8)
    for row, value in enumerate(column):
        image = _decode(path, row, value.as_py())
        if image.shape != first.shape:
            raise DataError(
                f"{path}: images of unequal size: row 0 is {list(first.shape)}, row "
                f"{row} is {list(image.shape)} (channels, height, width); resize them"
            )
        images[row] = image
    return images


def _decode(path: str, row: int, encoded: Any) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"{path}: row {row} is not a readable image: {error}"
        ) from error
    if pixels.ndim == RGB_DIMS:
        return pixels.transpose(2, 0, 1)
    return pixels[None]

"""Parquet data sets, local or on any file system that pyarrow knows.

A folder holds ``train*.parquet`` and ``test*.parquet``. Each file has a column
``label`` (integers: classes; floats: regression) and one of

- ``image``: encoded images (bytes, or a struct with a field ``bytes``), or raw pixels
  as ``fixed_size_binary`` with their shape under ``shape`` in the schema's metadata,
- ``features``: a fixed-size list of numbers.

Features of a part that are larger than memory go to a file of rows, which is read page
by page: only rows that are asked for are read, the system keeps as many of them in
memory as there is room, and processes of one node share them. There is one such file
per part, in the order of the Parquet files, whatever the split.
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
from filelock import FileLock
from PIL import Image

from senn_ray.core.errors import DataError
from senn_ray.core.files import replacing
from senn_ray.data.examples import Encoding, RawData
from senn_ray.data.sources import Part, assemble
from senn_ray.data.standardisation import encoding, stored

RGB_DIMS = 3
LAYOUT = 2
"""Number of the layout of files of rows: others are not read."""


@dataclass(frozen=True, kw_only=True)
class _Source:
    """The files of one part of a data set."""

    which: str
    system: pafs.FileSystem
    files: list[pafs.FileInfo]
    count: int
    """Number of examples."""
    shape: tuple[int, ...]
    """Of one example."""
    dtype: np.dtype[Any]

    @property
    def num_bytes(self) -> int:
        """Bytes that the features take in memory."""
        return self.count * math.prod(self.shape) * self.dtype.itemsize

    def groups(self) -> Iterator[Part]:
        """Read one row group after the other."""
        for file in self.files:
            for x, y in _groups(self.system, file.path):
                if x.shape[1:] != self.shape:
                    shapes = sorted([list(self.shape), list(x.shape[1:])])
                    raise DataError(
                        f"{file.path}: {self.which} files differ in the shape of an "
                        f"example: {shapes}"
                    )
                yield x.astype(self.dtype, copy=False), y

    def features(self) -> Iterator[np.ndarray]:
        """Read the features of one row group after the other."""
        return (x for x, _ in self.groups())


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
        files = [info for info in listing if info.is_file]
        sources = [_source(name, system, files, which) for which in ("train", "test")]
        shape, other = (source.shape for source in sources)
        if shape != other:
            raise DataError(
                f"{name}: training examples have shape {list(shape)}, test "
                f"examples {list(other)}; both parts need the same shape"
            )
        known = None
        if max(source.num_bytes for source in sources) > memory_bytes:
            train, test, known = _mapped(name, sources, memory_bytes, cache)
        else:
            train, test = (_joined(source) for source in sources)
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{name} cannot be read: {reason}") from error
    return assemble(name, train=train, test=test, feature_shape=shape, known=known)


def _locate(uri: str) -> tuple[pafs.FileSystem, str]:
    if "://" in uri:
        return pafs.FileSystem.from_uri(uri)
    return pafs.LocalFileSystem(), str(Path(uri).expanduser().absolute())


def _source(
    name: str, system: pafs.FileSystem, files: list[pafs.FileInfo], which: str
) -> _Source:
    pattern = re.compile(rf"{which}[^/]*\.parquet$")
    chosen = sorted(
        (f for f in files if pattern.match(f.base_name)), key=lambda f: f.path
    )
    if not chosen:
        raise DataError(f"{name}: no file {which}*.parquet in that folder")
    first, _ = next(_groups(system, chosen[0].path))
    counts, dtypes = zip(*(_counted(system, file.path) for file in chosen), strict=True)
    return _Source(
        which=which,
        system=system,
        files=chosen,
        count=sum(counts),
        shape=first.shape[1:],
        dtype=np.result_type(first.dtype, *dtypes),
    )


def _joined(source: _Source) -> Part:
    xs, ys = zip(*source.groups(), strict=True)
    return np.concatenate(xs), np.concatenate(ys)


class Mapped(np.memmap):
    """A file of rows [n, d], read-only, that pickles as its name."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Travel by name, as long as this is the whole file and not a part of it."""
        path = self.filename
        if path is None or Path(path).stat().st_size != self.offset + self.nbytes:
            return np.asarray(self).__reduce_ex__(protocol)
        return open_rows, (Path(path),)


def open_rows(path: Path) -> Mapped:
    """Open a file of rows.

    Raises:
        DataError: if it is not on this machine.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r").view(Mapped)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}, which holds features of the data set, cannot be read here "
            f"({error}); set data.root to a folder that all nodes share"
        ) from error


def _mapped(
    name: str, sources: list[_Source], memory_bytes: float, cache: Path
) -> tuple[Part, Part, Encoding | None]:
    """Read both parts, with features that do not fit in files; write those if needed."""
    facts = [(f.path, f.size, f.mtime_ns) for source in sources for f in source.files]
    key = _digest(f"{LAYOUT} {facts}")
    folder = cache / _digest(name)
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[Part] = []
    # Several jobs of a node may start at once: one writes, the others wait.
    with FileLock(folder / "lock"):
        known = _kept_encoding(sources[0], folder / f"encoding-{key}.npy")
        for source in sources:
            if source.num_bytes <= memory_bytes:
                x, y = _joined(source)
                parts.append((stored(x, known), y))
                continue
            path = folder / f"{source.which}-{key}.npy"
            if not path.exists():
                _write_rows(path, source, known)
            labels = [_label_column(source.system, f.path) for f in source.files]
            parts.append((open_rows(path), np.concatenate(labels)))
        _remove_stale(sources, name, cache, keep=key)
    train, test = parts
    return train, test, known


def _kept_encoding(source: _Source, path: Path) -> Encoding | None:
    """Read the encoding of the training features, or measure it in one pass."""
    if not path.exists():
        shared = len(source.shape) > 1
        found = encoding(source.features(), source.dtype, shared=shared)
        values = np.zeros((2, 0)) if found is None else [found.origin, found.unit]
        with replacing(path) as partial, partial.open("wb") as file:
            np.save(file, values)
    origin, unit = np.load(path)
    return Encoding(origin=origin, unit=unit) if len(origin) else None


def _write_rows(path: Path, source: _Source, known: Encoding | None) -> None:
    dtype = np.uint8 if source.dtype == np.uint8 else np.float32
    shape = (source.count, math.prod(source.shape))
    with replacing(path) as partial:
        rows = np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape)
        start = 0
        for x in source.features():
            rows[start : start + len(x)] = stored(x, known)
            start += len(x)
        rows.flush()


def _remove_stale(sources: list[_Source], name: str, cache: Path, *, keep: str) -> None:
    """Remove files of earlier contents of the data set, and those of older layouts."""
    files = (cache / _digest(name)).iterdir()
    # A process that was killed leaves a partial file; only one process writes here.
    stale = [p for p in files if keep not in p.name or p.suffix == ".partial"]
    for source in sources:
        # Once there were a file per part and another one per size of the split.
        facts = [(file.path, file.size, file.mtime_ns) for file in source.files]
        stale += cache.glob(f"{_digest(f'{name} {facts}')}*")
    for path in stale:
        if path.name != "lock":
            path.unlink(missing_ok=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def _opened(system: pafs.FileSystem, path: str) -> Iterator[pq.ParquetFile]:
    try:
        with system.open_input_file(path) as source:
            yield pq.ParquetFile(source)
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is damaged or not Parquet: {reason}") from error


def _counted(system: pafs.FileSystem, path: str) -> tuple[int, np.dtype[Any]]:
    """Return the number of examples of a file, and the type of their features."""
    with _opened(system, path) as file:
        names, dtype = file.schema_arrow.names, np.dtype(np.uint8)
        if "image" not in names and "features" in names:
            kind = file.schema_arrow.field("features").type
            if pa.types.is_fixed_size_list(kind) and _is_number(kind.value_type):
                dtype = np.dtype(kind.value_type.to_pandas_dtype())
        return file.metadata.num_rows, dtype


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

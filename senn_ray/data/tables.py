"""Tables: files of named, typed columns, read piece by piece.

Whatever the format, a table is a schema and pieces that give Arrow tables; pieces of one
table may have other types of number, which are brought to one. Columns that a schema
declares as class labels (Hugging Face ``ClassLabel``) come as words.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs

from senn_ray.core.errors import DataError
from senn_ray.data.delimited import read_csv

BATCH_BYTES = 64e6
"""About how much is decoded at a time."""
BATCH_ROWS = (64, 65536)
LIST_WIDTH, IMAGE_WIDTH = 1000, 20_000
"""Numbers in a list or an image whose size no schema tells, for the size of batches."""
INDEX_COLUMNS = "__index_level_"
"""What pandas calls an index without a name that it writes."""

Read = Callable[[Sequence[str], int], Iterator[pa.Table]]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Rows of a table that lie together, such as a file."""

    place: str
    """What messages call it."""
    schema: pa.Schema
    count: int
    read: Read
    """Gives chosen columns, so many rows at a time."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some rows, and where they are from."""

    place: str
    rows: np.ndarray
    """int64 [n]: their numbers in that place."""
    table: pa.Table
    alone: bool = False
    """Whether the place has one row only, such as the file of an image."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Named, typed columns of one part of a data set."""

    name: str
    """What messages call it."""
    schema: pa.Schema
    pieces: tuple[Piece, ...]
    taken: np.ndarray | None = None
    """bool [all rows]: which of them count; all, if left out."""
    facts: str = ""
    """What tells its contents from others; nothing, if it is in memory."""
    declared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of classes that a schema declares, by column."""

    def __len__(self) -> int:
        """Count the rows that count."""
        return self.total if self.taken is None else int(self.taken.sum())

    @property
    def total(self) -> int:
        """The number of rows in all pieces."""
        return sum(piece.count for piece in self.pieces)

    @property
    def taken_digest(self) -> str:
        """Tell one choice of rows from another."""
        bits = b"" if self.taken is None else np.packbits(self.taken).tobytes()
        return hashlib.sha256(bits).hexdigest()

    def taking(self, chosen: np.ndarray) -> "Table":
        """Leave all rows but some: bool [len(self)]."""
        if self.taken is None:
            return replace(self, taken=chosen)
        taken = self.taken.copy()
        taken[np.flatnonzero(taken)] = chosen
        return replace(self, taken=taken)

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Read some columns in order, some rows at a time; damage is a ``DataError``."""
        rows = int(BATCH_BYTES / (8 * max(1, self._width(columns))))
        rows = min(max(rows, BATCH_ROWS[0]), BATCH_ROWS[1])
        start = 0
        for piece in self.pieces:
            end = start + piece.count
            taken = None if self.taken is None else self.taken[start:end]
            if taken is None or taken.any():
                with reading(piece.place):
                    yield from _batches(piece, columns, rows, taken)
            start = end

    def column(self, name: str) -> pa.ChunkedArray:
        """Read one column as a whole."""
        kind = self.schema.field(name).type
        chunks = [c for b in self.batches([name]) for c in b.table[name].chunks]
        if pa.types.is_dictionary(kind):
            chunks = [chunk.cast(kind.value_type) for chunk in chunks]
            kind = kind.value_type
        return pa.chunked_array(chunks, kind)

    def _width(self, columns: Sequence[str]) -> int:
        """Guess how many numbers a row has, or what images take."""
        return sum(_width_of(self.schema.field(name).type) for name in columns)


def _batches(
    piece: Piece, columns: Sequence[str], rows: int, taken: np.ndarray | None
) -> Iterator[Batch]:
    """Read the rows of a piece that count, with their numbers."""
    first = 0
    for table in piece.read(columns, rows):
        numbers = np.arange(first, first + len(table))
        first += len(table)
        chosen = table
        if taken is not None:
            mask = taken[numbers]
            chosen, numbers = table.filter(pa.array(mask)), numbers[mask]
        if len(chosen):
            alone = piece.count == 1
            yield Batch(place=piece.place, rows=numbers, table=chosen, alone=alone)


def _width_of(kind: pa.DataType) -> int:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return LIST_WIDTH
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return IMAGE_WIDTH
    if pa.types.is_struct(kind):
        return IMAGE_WIDTH
    if isinstance(kind, pa.FixedShapeTensorType):
        kind = kind.storage_type
    return getattr(kind, "list_size", 1) or 1


class reading:  # noqa: N801
    """Turn errors of readers into one line that names the place."""

    def __init__(self, place: str) -> None:
        """Note the place that messages name."""
        self.place = place

    def __enter__(self) -> None:
        """Begin to read."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Say what went wrong."""
        wrong = (pa.ArrowException, OSError, UnicodeDecodeError, EOFError)
        if isinstance(error, wrong) and not isinstance(error, KeyboardInterrupt):
            reason = " ".join(str(error).split())[:300]
            raise DataError(f"{self.place} is damaged or unfit: {reason}") from error


def open_table(
    kind: str,
    name: str,
    system: pafs.FileSystem,
    files: Sequence[pafs.FileInfo],
    *,
    base: str,
    most_bytes: float,
) -> Table:
    """Open files of one part as a table; contents are read when they are asked for.

    Args:
        kind: parquet, csv or arrow.
        name: What messages call the table.
        system: Where the files are.
        files: The files, in order.
        base: The folder that hive partitions are below.
        most_bytes: The most that a file may unpack to, if it is read as a whole. Files
            that are damaged, or whose columns do not fit together, are a ``DataError``.
    """
    facts = str([(f.path, f.size, f.mtime_ns) for f in files])
    if kind == "csv":
        pieces = [_csv_piece(system, file, most_bytes) for file in files]
    else:
        pieces = list(_dataset_pieces(kind, system, files, base))
    return from_pieces(name, pieces, facts=facts if kind == "parquet" else "")


def in_memory(name: str, table: pa.Table, place: str = "") -> Table:
    """Take an Arrow table as a table."""
    return from_pieces(name, [_memory_piece(place or name, table)])


def from_pieces(name: str, pieces: Sequence[Piece], facts: str = "") -> Table:
    """Join pieces to a table, with their columns in common types."""
    pieces = [p for p in pieces if p.count] or list(pieces)
    for piece in pieces:
        names = piece.schema.names
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice and len(set(names)) < len(names):
            raise DataError(f"{piece.place}: two columns have the name {twice[0]!r}")
    schema = _common_schema(name, pieces)
    declared: dict[str, tuple[str, ...]] = {}
    wrapped = []
    for piece in pieces:
        names = class_names(piece.schema)
        for column, words in names.items():
            known = declared.get(column, ())
            declared[column] = known + tuple(w for w in words if w not in known)
        wrapped.append(replace(piece, read=_in_schema(piece, schema, names)))
    for column in declared:
        at = schema.get_field_index(column)
        schema = schema.set(at, schema.field(at).with_type(pa.string()))
    return Table(
        name=name, schema=schema, pieces=tuple(wrapped), facts=facts, declared=declared
    )


def _common_schema(name: str, pieces: Sequence[Piece]) -> pa.Schema:
    plain = [piece.schema.remove_metadata() for piece in pieces]
    for piece, schema in zip(pieces, plain, strict=True):
        if lacking := sorted(set(plain[0].names) ^ set(schema.names)):
            raise DataError(
                f"{name}: {pieces[0].place} and {piece.place} have unlike columns: "
                f"{', '.join(lacking[:5])} is in one of them only"
            )
    try:
        return pa.unify_schemas(plain, promote_options="permissive")
    except pa.ArrowException as error:
        for piece, schema in zip(pieces, plain, strict=True):
            for column in schema:
                first = plain[0].field(column.name).type
                if first != column.type:
                    raise DataError(
                        f"{name}: column {column.name} is {first} in "
                        f"{pieces[0].place}, {column.type} in {piece.place}; write "
                        "all files alike"
                    ) from error
        raise DataError(f"{name}: files of unlike columns: {error}") from error


def class_names(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Return the class names that Hugging Face metadata declare, by column."""
    text = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(text)["info"]["features"] if text else {}
        found = {
            name: tuple(map(str, kind["names"]))
            for name, kind in features.items()
            if isinstance(kind, dict) and kind.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    numbers = {f.name for f in schema if pa.types.is_integer(f.type)}
    return {name: words for name, words in found.items() if name in numbers}


def _in_schema(
    piece: Piece, schema: pa.Schema, names: Mapping[str, tuple[str, ...]]
) -> Read:
    """Give the columns of a piece as the schema of the table has them."""

    def read(columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        for table in piece.read(columns, rows):
            arrays = []
            for name in columns:
                column, kind = table[name], schema.field(name).type
                if name in names:
                    column = _words(piece.place, name, column, names[name])
                elif column.type != kind:
                    column = column.cast(kind)
                arrays.append(column)
            yield pa.table(arrays, names=list(columns))

    return read


def _words(
    place: str, name: str, column: pa.ChunkedArray, names: tuple[str, ...]
) -> pa.ChunkedArray:
    numbers = (
        column.to_numpy()
        if not column.null_count
        else np.array(column.fill_null(-1).to_numpy())
    )
    if len(numbers) and numbers.max() >= len(names):
        raise DataError(
            f"{place}: column {name} has class {numbers.max()}, but its schema has "
            f"{len(names)} names"
        )
    # Hugging Face has -1 for "no label".
    absent = numbers < 0
    words = np.array(names, object)[np.where(absent, 0, numbers)]
    return pa.chunked_array([pa.array(words, pa.string(), mask=absent)])


def _dataset_pieces(
    kind: str, system: pafs.FileSystem, files: Sequence[pafs.FileInfo], base: str
) -> Iterator[Piece]:
    """Open files by pyarrow's data sets, which know hive partitions."""
    for file in files:
        with reading(file.path):
            if file.size == 0:
                raise DataError(f"{file.path} is damaged or unfit: it is empty")
            dataset = pads.dataset(
                [file.path],
                filesystem=system,
                format="parquet" if kind == "parquet" else "ipc",
                partitioning="hive",
                partition_base_dir=base,
            )
            yield Piece(
                place=file.path,
                schema=dataset.schema,
                count=dataset.count_rows(),
                read=_scan(dataset),
            )


def _scan(dataset: Any) -> Read:
    def read(columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        options = {"batch_readahead": 2, "fragment_readahead": 1}
        scanner = dataset.scanner(columns=list(columns), batch_size=rows, **options)
        for batch in scanner.to_batches():
            yield pa.Table.from_batches([batch])

    return read


def _csv_piece(
    system: pafs.FileSystem, file: pafs.FileInfo, most_bytes: float
) -> Piece:
    with (
        reading(file.path),
        system.open_input_stream(file.path, compression=None) as raw,
    ):
        table = read_csv(io.BufferedReader(raw), file.path, file.size, most_bytes)
    return _memory_piece(file.path, table)


def _memory_piece(place: str, table: pa.Table) -> Piece:
    def read(columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        chosen = table.select(list(columns))
        for start in range(0, len(table), rows):
            yield chosen.slice(start, rows)

    return Piece(place=place, schema=table.schema, count=len(table), read=read)

"""CSV: delimited text to an Arrow table, with what people's files need.

The delimiter is told from the first line; so is a file without a header. Files may be
packed (.gz, .bz2, .zst). Types are inferred from all rows. Missing are empty cells and the
usual words for it, of which ``MISSING`` is the list.
"""

import csv
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv

from senn_ray.core.errors import DataError
from senn_ray.core.numbers import significant
from senn_ray.data.arrow import pc

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "?")
DELIMITERS = ",;\t|"
CHUNK = 1 << 24
PACKED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
MOST_RATIO, FREE_BYTES = 200, 100e6
"""Text packs to a tenth, rarely to a hundredth: what unpacks to more, above so many bytes,
was made to fill memory."""


def read_csv(raw: BinaryIO, place: str, size: int, most_bytes: float) -> pa.Table:
    """Read delimited text as a whole.

    Args:
        raw: The file, as it is stored.
        place: What messages call it.
        size: Its stored bytes.
        most_bytes: The most that it may unpack to.

    Raises:
        DataError: if it unpacks to too much, or its lines do not fit together.
    """
    text = b"".join(_unpacked(raw, place, size, most_bytes))
    if text[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        text = text.decode("utf-16").encode()
    head = text[:CHUNK].partition(b"\n")[0].decode("utf-8-sig", errors="replace")
    if not head.strip():
        raise DataError(f"{place}: the first line is empty; it must name the columns")
    delimiter = max(DELIMITERS, key=head.count)
    names = next(csv.reader([head.strip("\r")], delimiter=delimiter))
    headless = all(_is_number(name) or name.strip() in MISSING for name in names)
    if headless:
        names = [f"f{i}" for i in range(len(names))]
    names = [name.strip() for name in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{place}: two columns have the name {twice[0]!r}; rename one")
    table = pacsv.read_csv(
        io.BytesIO(text),
        read_options=pacsv.ReadOptions(
            column_names=names, skip_rows=0 if headless else 1, block_size=CHUNK
        ),
        parse_options=pacsv.ParseOptions(
            delimiter=delimiter, newlines_in_values=b'"' in text
        ),
        convert_options=pacsv.ConvertOptions(
            strings_can_be_null=True, null_values=list(MISSING)
        ),
    )
    return _stripped(table, place)


def _unpacked(
    raw: BinaryIO, place: str, size: int, most_bytes: float
) -> Iterator[bytes]:
    """Give the text piece by piece, and stop where it becomes too much."""
    packed = next((kind for end, kind in PACKED.items() if place.endswith(end)), None)
    stream: Any = raw if packed is None else pa.CompressedInputStream(raw, packed)
    total = 0
    while chunk := stream.read(CHUNK):
        total += len(chunk)
        bomb = packed and total > FREE_BYTES and total > MOST_RATIO * size
        if bomb or total > most_bytes:
            raise DataError(
                f"{place}: {size} bytes unpack to more than "
                f"{significant(total / 1e9, 2)} GB, which is "
                + ("no text" if bomb else "more than data.memory_gb; use Parquet")
            )
        yield chunk


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _stripped(table: pa.Table, place: str) -> pa.Table:
    """Remove blanks around cells, and look again what is in these columns."""
    for at, name in enumerate(table.column_names):
        column = table[name]
        if pa.types.is_binary(column.type):
            raise DataError(f"{place}: column {name} is not UTF-8; save it as UTF-8")
        if not pa.types.is_string(column.type):
            continue
        trimmed = pc.utf8_trim_whitespace(column)
        if trimmed.equals(column):
            continue
        absent = pc.is_in(trimmed, pa.array(MISSING))
        trimmed = pc.if_else(absent, pa.scalar(None, pa.string()), trimmed)
        for kind in (pa.int64(), pa.float64()):
            try:
                trimmed = trimmed.cast(kind)
                break
            except pa.ArrowInvalid:
                continue
        table = table.set_column(at, name, trimmed)
    return table

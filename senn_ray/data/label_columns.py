"""Label columns of a table, of any type, as ``labels.Given``."""

import numpy as np
import pyarrow as pa

from senn_ray.core.errors import DataError
from senn_ray.data.arrow import pc
from senn_ray.data.labels import Given
from senn_ray.data.tables import Table


def labels_of(table: Table, columns: tuple[str, ...]) -> Given:
    """Read the label columns of a part.

    Raises:
        DataError: if labels are missing, or files have them in unlike types.
    """
    if len(columns) == 1:
        return _label(table, columns[0])
    parts = [_label(table, name) for name in columns]
    wordy = [
        n for n, part in zip(columns, parts, strict=True) if part.names is not None
    ]
    if wordy:
        raise DataError(
            f"{table.name}: several label columns are the targets of a regression, but "
            f"{wordy[0]} holds words"
        )
    return Given(values=np.stack([part.values for part in parts], axis=1))


def _label(table: Table, name: str) -> Given:
    _require_labels(table, name)
    column = table.column(name)
    kind = column.type
    if (
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or (pa.types.is_fixed_size_list(kind))
    ):
        return Given(values=_lists(table, name, column))
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif pa.types.is_boolean(kind):
        return Given(values=column.to_numpy().astype(bool))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _words(column.cast(pa.large_string()), table.declared.get(name))
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(
            f"{table.name}: column {name} is {kind}; labels are words, truth values or "
            "numbers"
        )
    return Given(values=_of_one_type(table, name, column.to_numpy()))


def _require_labels(table: Table, name: str) -> None:
    """Refuse missing labels, with the place of the first."""
    missing, first = 0, ""
    for batch in table.batches([name]):
        column = batch.table[name]
        if column.null_count:
            at = int(np.flatnonzero(column.is_null().to_numpy())[0])
            first = first or f"{batch.place}, row {batch.rows[at]}"
            missing += column.null_count
    if missing:
        raise DataError(
            f"{table.name}: column {name} has {missing} nulls: labels are missing, the "
            f"first in {first}; drop these rows"
        )


def _words(column: pa.ChunkedArray, declared: tuple[str, ...] | None) -> Given:
    names = pa.array(
        declared or sorted(pc.unique(column).to_pylist()), pa.large_string()
    )
    numbers = pc.index_in(column, names).to_numpy().astype(np.int64)
    return Given(
        values=numbers, names=tuple(names.to_pylist()), declared=declared is not None
    )


def _lists(table: Table, name: str, column: pa.ChunkedArray) -> np.ndarray:
    width = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(width) != 1 or not width[0]:
        raise DataError(f"{table.name}: column {name} has lists of unequal length")
    values = pc.list_flatten(column).to_numpy()
    if values.dtype.kind not in "iufb":
        raise DataError(
            f"{table.name}: column {name} has lists of something but numbers"
        )
    values = values.reshape(-1, width[0])
    return values[:, 0] if width[0] == 1 else values


def _of_one_type(table: Table, name: str, values: np.ndarray) -> np.ndarray:
    """Take whole numbers as such where some files have them as floats."""
    kinds = {
        piece.place: piece.schema.field(name).type
        for piece in table.pieces
        if name in piece.schema.names
    }
    integers = [p for p, kind in kinds.items() if pa.types.is_integer(kind)]
    floats = [p for p, kind in kinds.items() if pa.types.is_floating(kind)]
    if values.dtype.kind == "f" and integers and floats:
        if np.array_equal(values, np.rint(values)):
            return values.astype(np.int64)
        raise DataError(
            f"{table.name}: column {name} holds whole numbers in {integers[0]}, "
            f"fractions in {floats[0]}; write all files alike"
        )
    return values

"""Data sets from tables: their parts, labels and features.

Everything that is a table comes through here, whatever its format: files, data frames,
scikit-learn's sets, folders of images.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data.assemble import Told, put_together
from senn_ray.data.codes import Column
from senn_ray.data.columns import encode, fit
from senn_ray.data.examples import RawData
from senn_ray.data.image_rows import image_rows
from senn_ray.data.label_columns import labels_of
from senn_ray.data.layout import Layout, layout_of, shown
from senn_ray.data.mapped import Rows
from senn_ray.data.partition import parts_of
from senn_ray.data.tables import Table


def from_tables(
    name: str,
    tables: Mapping[str, Table],
    config: DataConfig,
    *,
    cache: Path = Path(),
    notes: tuple[str, ...] = (),
) -> RawData:
    """Make a data set of tables.

    Args:
        name: What messages call it.
        tables: By part: train, test, validation; or ``all`` for one without parts.
        config: The section ``data`` of the settings. Columns or values that do not fit
            are a ``DataError``.
        cache: Folder of the files of features that memory cannot hold.
        notes: What was said of the tables so far.
    """
    whole = tables["train"] if "train" in tables else tables["all"]
    layout = layout_of(whole, config)
    parts, told = parts_of(name, tables, layout, config)
    notes = (*notes, *layout.notes, *told)
    own_split = parts[0].pieces is parts[1].pieces
    train, test = parts
    _require_columns(train, test, layout)
    if layout.image is not None:
        parts, rows, columns, more = image_rows(name, parts, layout.image, config)
    else:
        fitted = fit(train, layout, config)
        columns, more = fitted.columns, fitted.notes
        rows = [
            _encoded(which, part, columns, fitted.shape, fitted.dtype)
            for which, part in zip(("train", "test"), parts, strict=True)
        ]
    labels = [labels_of(part, layout.labels) for part in parts]
    described = Told(
        label_columns=layout.labels,
        columns=columns,
        own_split=own_split,
        notes=(*notes, *more),
        config=config,
        cache=cache,
    )
    return put_together(name, rows, labels, described)


def _encoded(
    which: str,
    table: Table,
    columns: tuple[Column, ...],
    shape: tuple[int, ...],
    dtype: np.dtype,
) -> Rows:
    names = [column.name for column in columns]

    def read() -> Iterator[np.ndarray]:
        for batch in table.batches(names):
            yield encode(columns, batch, dtype).reshape(-1, *shape)

    return Rows(
        which=which,
        count=len(table),
        shape=shape,
        dtype=dtype,
        read=read,
        facts=table.facts and f"{table.facts} {columns} {table.taken_digest}",
    )


def _require_columns(train: Table, test: Table, layout: Layout) -> None:
    needed = [
        *layout.labels,
        *layout.features,
        *([layout.image] if layout.image else []),
    ]
    absent = [name for name in needed if name not in test.schema.names]
    if absent:
        raise DataError(
            f"{train.name}: the test part lacks columns that the training part has: "
            f"{shown(absent)}"
        )

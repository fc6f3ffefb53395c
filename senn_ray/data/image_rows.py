"""Columns of images as rows of pixels: encoded ones, or raw pixels with their shape."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data import images
from senn_ray.data.arrow import pc
from senn_ray.data.codes import Column
from senn_ray.data.mapped import Rows
from senn_ray.data.tables import Batch, Table


def image_rows(
    name: str, parts: tuple[Table, Table], column: str, config: DataConfig
) -> tuple[tuple[Table, Table], list[Rows], tuple[Column, ...], list[str]]:
    """Look at the headers of all images, and make rows of pixels of them."""
    kind = parts[0].schema.field(column).type
    if pa.types.is_fixed_size_binary(kind):
        return _raw_pixels(parts, column)
    survey, kept, notes = images.Survey(), [], []
    for part in parts:
        fine = np.concatenate([
            [survey.look(place, value) for place, value in images_of(batch, column)]
            for batch in part.batches([column])
        ])
        kept.append(part.taking(fine.astype(bool)))
    form = survey.form(name, config.image_size)
    if config.broken_images == "skip":
        kept = [_whole(part, column, form, survey) for part in kept]
    if survey.broken:
        text = (
            f"{len(survey.broken)} images cannot be read, the first {survey.broken[0]}"
        )
        if config.broken_images == "refuse":
            raise DataError(
                f"{name}: {text}; mend them, or leave them out: --data.broken-images skip"
            )
        notes.append(f"{text}; they are left out (data.broken_images)")
    dtype = np.dtype(np.uint16 if form.deep else np.uint8)
    rows = [
        _pixels(which, part, column, form, dtype)
        for which, part in zip(("train", "test"), kept, strict=True)
    ]
    told = Column(
        name=column, kind="image", shape=form.shape, resize=form.resize, deep=form.deep
    )
    return (kept[0], kept[1]), rows, (told,), notes + survey.notes(form)


def images_of(batch: Batch, column: str) -> Iterator[tuple[str, Any]]:
    """Give each image with its place."""
    values = batch.table[column]
    kind = values.type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        encoded = pc.struct_field(values, "bytes")
        if encoded.null_count == len(encoded) and "path" in [f.name for f in kind]:
            raise DataError(
                f"{batch.place}: column {column} holds paths, not images; embed them "
                "(Hugging Face: cast the column to Image with their bytes), or use "
                "imagefolder:"
            )
        values = encoded
    if not (pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)):
        raise DataError(
            f"{batch.place}: column {column} is {kind}; it must hold encoded images as "
            "binary (or a struct with a field bytes), or raw pixels as "
            "fixed_size_binary"
        )
    for row, value in zip(batch.rows, values, strict=True):
        place = batch.place if batch.alone else f"{batch.place}, row {row}"
        yield place, value.as_py()


def _whole(
    table: Table, column: str, form: images.Form, survey: images.Survey
) -> Table:
    """Leave out images that begin well and end badly."""
    fine = []
    for batch in table.batches([column]):
        for place, value in images_of(batch, column):
            try:
                images.decode(place, value, form)
            except DataError as error:
                survey.broken.append(str(error).partition(";")[0])
                fine.append(False)
            else:
                fine.append(True)
    return table.taking(np.array(fine, bool))


def _pixels(
    which: str, table: Table, column: str, form: images.Form, dtype: np.dtype
) -> Rows:
    def read() -> Iterator[np.ndarray]:
        for batch in table.batches([column]):
            found = list(images_of(batch, column))
            places, encoded = zip(*found, strict=True)
            yield images.decode_all(places, encoded, form)

    return Rows(
        which=which,
        count=len(table),
        shape=form.shape,
        dtype=dtype,
        read=read,
        facts=table.facts and f"{table.facts} {form} {table.taken_digest}",
    )


def _raw_pixels(
    parts: tuple[Table, Table], column: str
) -> tuple[tuple[Table, Table], list[Rows], tuple[Column, ...], list[str]]:
    shapes = [_raw_shape(part, column) for part in parts]
    rows = []
    for which, part, shape in zip(("train", "test"), parts, shapes, strict=True):

        def read(
            part: Table = part, shape: tuple[int, ...] = shape
        ) -> Iterator[np.ndarray]:
            for batch in part.batches([column]):
                pixels = b"".join(batch.table[column].to_pylist())
                yield np.frombuffer(pixels, np.uint8).reshape(-1, *shape)

        facts = part.facts and f"{part.facts} {shape} {part.taken_digest}"
        rows.append(
            Rows(
                which=which,
                count=len(part),
                shape=shape,
                dtype=np.dtype(np.uint8),
                read=read,
                facts=facts,
            )
        )
    if shapes[0] != shapes[1]:
        raise DataError(
            f"{parts[0].name}: training examples have shape {list(shapes[0])}, test "
            f"examples {list(shapes[1])}; both parts need the same shape"
        )
    return parts, rows, (), []


def _raw_shape(table: Table, column: str) -> tuple[int, ...]:
    place = table.pieces[0]
    own = place.schema.field(column)
    metadata = {**(place.schema.metadata or {}), **(own.metadata or {})}
    text = metadata.get(b"shape", b"").decode(errors="replace")
    digits = "".join(c if c.isdigit() else " " for c in text).split()
    shape = tuple(int(size) for size in digits)
    width = own.type.byte_width
    if not shape or int(np.prod(shape, dtype=object)) != width:
        raise DataError(
            f"{place.place}: raw images of {width} bytes need their shape in the "
            f"schema's metadata, such as shape = '[1, 28, 28]'; it has {text or 'none'!r}"
        )
    return shape

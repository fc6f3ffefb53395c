"""Layout: which columns of a table are labels, features, images or none of these."""

import difflib
import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data.tables import INDEX_COLUMNS, Table

SHOWN = 12
"""Most columns that a message names."""
IMAGES = ("image", "img", "pixel_values", "picture", "photo")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the columns of a table are for."""

    labels: tuple[str, ...]
    features: tuple[str, ...] = ()
    image: str | None = None
    asked: bool = False
    """Whether the user named the features."""
    notes: tuple[str, ...] = ()


def layout_of(table: Table, config: DataConfig) -> Layout:
    """Choose label and feature columns, by the settings and else by name and type.

    Args:
        table: The training part.
        config: ``label``, ``features``, ``drop``, ``image``, ``split``.

    Raises:
        DataError: if there is no label column, or a column that is named does not exist.
    """
    names = table.schema.names
    labels = _labels(table, config)
    reserved = {*labels, *config.drop, *([config.split] if config.split else [])}
    for key in ("drop", "categories"):
        for name in getattr(config, key):
            _require(table, key, name)
    if config.split:
        _require(table, "split", config.split)
    rest = [n for n in names if n not in reserved and not n.startswith(INDEX_COLUMNS)]
    if config.features:
        chosen = _matching(table, config.features, reserved)
        return Layout(labels=labels, features=chosen, asked=True)
    image = _image(table, config, rest)
    if image is not None:
        return Layout(labels=labels, image=image, notes=_unused(rest, [image]))
    lists = [n for n in rest if _is_list(table.schema.field(n).type)]
    if "features" in lists:
        unused = _unused(rest, ["features"])
        return Layout(labels=labels, features=("features",), notes=unused)
    if not rest:
        raise DataError(
            f"{table.name}: there is no feature column beside {', '.join(labels)}; it "
            f"has {shown(names)}"
        )
    return Layout(labels=labels, features=tuple(rest))


def _labels(table: Table, config: DataConfig) -> tuple[str, ...]:
    for name in config.label:
        _require(table, "label", name)
    if config.label:
        return config.label
    if "label" in table.schema.names:
        return ("label",)
    others = [n for n in table.schema.names if not n.startswith(INDEX_COLUMNS)]
    if not others:
        raise DataError(f"{table.name} has no columns")
    likely = [
        *table.declared,
        *(n for n in others if _sounds_like_label(n)),
        others[-1],
    ]
    hint = f"--data.label {likely[0]}"
    if any(_holds_images(table.schema, n) for n in others):
        found = next(n for n in others if _holds_images(table.schema, n))
        hint += f" --data.image {found}"
    raise DataError(
        f"{table.name} has no column label: say which it is, such as {hint}; the "
        f"columns are {shown(others)}"
    )


def _sounds_like_label(name: str) -> bool:
    words = ("label", "target", "class", "y", "species", "outcome")
    return name.lower() in words or name.lower().endswith("_label")


def _require(table: Table, key: str, name: str) -> None:
    if name not in table.schema.names:
        close = difflib.get_close_matches(name, table.schema.names, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise DataError(
            f"{table.name}: data.{key} names {name!r}, which is no column; {hint}there "
            f"are {shown(table.schema.names)}"
        )


def _matching(
    table: Table, patterns: Sequence[str], reserved: set[str]
) -> tuple[str, ...]:
    chosen: dict[str, None] = {}
    for pattern in patterns:
        if pattern in table.schema.names:
            chosen[pattern] = None
            continue
        found = fnmatch.filter(table.schema.names, pattern)
        if not found:
            _require(table, "features", pattern)
        chosen |= dict.fromkeys(found)
    kept = tuple(name for name in chosen if name not in reserved)
    if not kept:
        raise DataError(f"{table.name}: data.features names no column but the label")
    return kept


def _image(table: Table, config: DataConfig, rest: Sequence[str]) -> str | None:
    """Find the column of images, if there is one."""
    if config.image is not None:
        _require(table, "image", config.image)
        return config.image
    if "image" in rest:
        return "image"
    found = [name for name in rest if _holds_images(table.schema, name)]
    if len(found) > 1:
        usual = [name for name in found if name in IMAGES]
        if len(usual) == 1:
            return usual[0]
        raise DataError(
            f"{table.name}: columns {', '.join(found)} may hold images; say which: "
            f"--data.image {found[0]}"
        )
    return found[0] if found else None


def _holds_images(schema: pa.Schema, name: str) -> bool:
    kind = schema.field(name).type
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_list(kind: pa.DataType) -> bool:
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in lists) or isinstance(
        kind, pa.FixedShapeTensorType
    )


def _unused(rest: Sequence[str], used: Sequence[str]) -> tuple[str, ...]:
    others = [name for name in rest if name not in used]
    if not others:
        return ()
    return (
        f"columns that are not used beside {used[0]}: {shown(others)} (weights neither)"
        if "weight" in others
        else f"columns that are not used beside {used[0]}: {shown(others)}",
    )


def shown(names: Sequence[str]) -> str:
    """List column names for a message."""
    text = ", ".join(names[:SHOWN])
    return text + (f", … ({len(names)} in all)" if len(names) > SHOWN else "")

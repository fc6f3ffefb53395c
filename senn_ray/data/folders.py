"""Folders of images: a folder for each class, below train and test or without parts."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from senn_ray.core.errors import DataError
from senn_ray.data.files import part_of
from senn_ray.data.tables import Piece, Table, from_pieces

ENDINGS = {
    ".png",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".webp",
    ".ppm",
    ".pgm",
}
SCHEMA = pa.schema([("image", pa.binary()), ("label", pa.string())])
LARGEST = 200e6
"""Bytes of a file; more is no image to train on."""


def read_folder(uri: str) -> dict[str, Table]:
    """Open a folder of images as tables with columns image and label.

    Args:
        uri: The folder. Below it, or below its folders ``train`` and ``test``, is a
            folder for each class.

    Raises:
        DataError: if there are no such folders, or no images in them.
    """
    root, name = Path(uri).expanduser().absolute(), f"imagefolder:{uri}"
    if not root.is_dir():
        raise DataError(f"{name} cannot be read: there is no such folder")
    below = _folders(root)
    parts = {part_of(folder.name): folder for folder in below}
    if "train" in parts:
        return {part: _table(name, folder) for part, folder in parts.items() if part}
    if len(below) == 1 and _folders(below[0]):
        return read_folder(str(below[0]))
    return {"all": _table(name, root)}


def _folders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and p.name[0] not in "._")


def _table(name: str, root: Path) -> Table:
    files = [
        (path, folder.name)
        for folder in _folders(root)
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in ENDINGS and path.is_file()
    ]
    if not files:
        raise DataError(
            f"{name}: {root} has no folders with images in them, one for each class"
        )
    pieces = [_piece(path, label) for path, label in files]
    facts = str([(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p, _ in files])
    return from_pieces(name, pieces, facts=facts)


def _piece(path: Path, label: str) -> Piece:
    def read(columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        del rows
        values = {"label": [label], "image": [None]}
        if "image" in columns:
            size = path.stat().st_size
            if size > LARGEST:
                raise DataError(f"{path} has {size / 1e6:.0f} MB: it is too large")
            values["image"] = [path.read_bytes()]
        yield pa.table(values, schema=SCHEMA).select(list(columns))

    return Piece(place=str(path), schema=SCHEMA, count=1, read=read)

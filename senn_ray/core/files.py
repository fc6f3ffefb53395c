"""Files that are whole or not there, and the hash of what arrays hold.

A run folder may be read at any moment, and a process or a disk may fail at any moment.
So every file but the journal is written beside its name and moved there: readers find
the old contents or the new ones.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from senn_ray.core.errors import DataError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replace a file in one step, if the block succeeds; else leave it as it was.

    Yields:
        A hidden path in the same folder, for the block to write the new contents to.
    """
    partial = _beside(path)
    try:
        yield partial
        # Without this a power cut may leave the new name with none of its contents.
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Replace a folder and all it holds, if the block succeeds; else leave it as it was.

    No file system exchanges folders in one step: between the end of the old one and the
    move of the new one there is none, so readers must wait for a file that they know.

    Yields:
        An empty folder, for the block to fill.
    """
    partial = _beside(folder)
    try:
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            shutil.rmtree(folder)
        partial.replace(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def write_bytes(path: Path, contents: bytes) -> None:
    """Replace a file in one step."""
    with replacing(path) as partial:
        partial.write_bytes(contents)


def write_text(path: Path, text: str) -> None:
    """Replace a text file (UTF-8) in one step."""
    write_bytes(path, text.encode())


def write_json(path: Path, values: Any) -> None:
    """Replace a file of JSON in one step; NaN and infinity, which it lacks, are errors."""
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one, if there is no such file.

    Raises:
        DataError: if it is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); restore it") from error


def hash_arrays(*arrays: Any) -> str:
    """Return the SHA-256 of the bytes of contiguous arrays, one after the other."""
    digest = hashlib.sha256()
    for array in arrays:
        if (view := memoryview(array)).nbytes:  # an empty view cannot be cast
            digest.update(view.cast("B"))
    return digest.hexdigest()


def _beside(path: Path) -> Path:
    """Name a path in the same folder that no other writer of this name has.

    It is hidden, so neither patterns such as ``*.parquet`` nor mirrors pick it up when a
    process was killed before it could clean up.
    """
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")

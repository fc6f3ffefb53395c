"""Features in a file: data sets that are larger than memory, read page by page.

A mapped array is an array to everybody who reads it. Only the rows that are asked for
are read, the system keeps as many of them in memory as there is room, and processes of
one node share them. To other processes the array travels as the name of its file.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from senn_ray.core.errors import DataError
from senn_ray.core.files import replacing

CHUNK = 8192
"""Rows that are copied at a time."""


class Mapped(np.memmap):
    """A file of rows [n, d], read-only, that pickles as its name."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Travel by name, as long as this is the whole file and not a part of it."""
        name = self.filename
        if name is None or Path(name).stat().st_size != self.nbytes:
            return np.asarray(self).__reduce_ex__(protocol)
        return open_rows, (Path(name), self.dtype.str, self.shape[1])


def open_rows(path: Path, dtype: str, width: int) -> Mapped:
    """Open a file of rows.

    Args:
        path: The file.
        dtype: Of its numbers.
        width: Numbers of a row.

    Raises:
        DataError: if it is not on this machine.
    """
    try:
        rows = np.memmap(path, dtype=dtype, mode="r").reshape(-1, width)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}, which holds features of the data set, cannot be read here "
            f"({error}); set data.root to a folder that all nodes share"
        ) from error
    return rows.view(Mapped)


def write_rows(path: Path, parts: Callable[[], Iterable[np.ndarray]]) -> Mapped:
    """Write rows to a file, unless it is there, and open it.

    Args:
        path: The file; one process writes it, others wait.
        parts: Gives the rows [n, d] in order, some at a time, all of one dtype.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        described = path.with_suffix(".txt")
        if not (path.exists() and described.exists()):
            with replacing(path) as partial, partial.open("wb") as file:
                for part in parts():
                    np.ascontiguousarray(part).tofile(file)
                    described.write_text(f"{part.dtype.str} {part.shape[1]}")
        dtype, width = described.read_text().split()
    return open_rows(path, dtype, int(width))


def permuted(array: np.ndarray, order: np.ndarray, name: str) -> np.ndarray:
    """Return rows in another order; those of a file go to another file.

    Args:
        array: The rows.
        order: Which row comes where.
        name: Names the order among all orders of this array.
    """
    if not isinstance(array, Mapped) or array.filename is None:
        return array[order]
    source = Path(array.filename)
    chunks = [order[i : i + CHUNK] for i in range(0, len(order), CHUNK)]
    return write_rows(
        source.with_name(f"{source.stem}-{name}.rows"),
        lambda: (np.asarray(array[chunk]) for chunk in chunks),
    )

"""Features in memory, or in a file of rows where they are larger than that.

A file of rows is read page by page: only rows that are asked for are read, the system
keeps as many of them in memory as there is room, and processes of one node share them.
There is one such file per part, in the order of the data set, whatever the split.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from senn_ray.core.errors import DataError
from senn_ray.core.files import replacing
from senn_ray.data.examples import Encoding
from senn_ray.data.standardisation import encoding, stored

LAYOUT = 3
"""Number of the layout of files of rows: others are not read."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Features of one part, read piece by piece."""

    which: str
    """train or test."""
    count: int
    shape: tuple[int, ...]
    """Of one example."""
    dtype: np.dtype[Any]
    read: Callable[[], Iterator[np.ndarray]]
    """Gives arrays [some, *shape] in order."""
    facts: str = ""
    """What tells the contents from others; nothing, if they are in memory anyway."""

    @property
    def num_bytes(self) -> int:
        """Bytes that the features take in memory."""
        return self.count * math.prod(self.shape) * self.dtype.itemsize

    def joined(self) -> np.ndarray:
        """Read all features as one array [n, *shape]."""
        whole = np.empty((self.count, *self.shape), self.dtype)
        start = 0
        for x in self.read():
            whole[start : start + len(x)] = x
            start += len(x)
        return whole


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


def features(
    name: str, train: Rows, test: Rows, *, memory_bytes: float, cache: Path
) -> tuple[np.ndarray, np.ndarray, Encoding | None]:
    """Return the stored features of both parts, in files where they do not fit.

    Args:
        name: What the files belong to.
        train: Features of the training part, by which the encoding is measured.
        test: Features of the test part.
        memory_bytes: The most that the features of a part may take in memory.
        cache: Folder of the files of those that take more.

    Returns:
        Features [n, d] of both parts, and how float32 holds them.
    """
    shared = len(train.shape) > 1
    if max(part.num_bytes for part in (train, test)) <= memory_bytes or not train.facts:
        x, test_x = train.joined(), test.joined()
        known = encoding([x], train.dtype, shared=shared)
        return stored(x, known), stored(test_x, known), known
    key = _digest(f"{LAYOUT} {train.facts} {test.facts}")
    folder = cache / _digest(name)
    folder.mkdir(parents=True, exist_ok=True)
    # Several jobs of a node may start at once: one writes, the others wait.
    with FileLock(folder / "lock"):
        known = _kept_encoding(train, folder / f"encoding-{key}.npy")
        parts = []
        for part in (train, test):
            if part.num_bytes <= memory_bytes:
                parts.append(stored(part.joined(), known))
                continue
            path = folder / f"{part.which}-{key}.npy"
            if not path.exists():
                _write_rows(path, part, known)
            parts.append(open_rows(path))
        _remove_stale(folder, keep=key)
    return parts[0], parts[1], known


def _kept_encoding(part: Rows, path: Path) -> Encoding | None:
    """Read the encoding of the training features, or measure it in one pass."""
    if not path.exists():
        shared = len(part.shape) > 1
        found = encoding(part.read(), part.dtype, shared=shared)
        values: Sequence[np.ndarray] | np.ndarray = np.zeros((2, 0))
        if found is not None:
            values = [found.origin, found.unit]
        with replacing(path) as partial, partial.open("wb") as file:
            np.save(file, values)
    origin, unit = np.load(path)
    return Encoding(origin=origin, unit=unit) if len(origin) else None


def _write_rows(path: Path, part: Rows, known: Encoding | None) -> None:
    dtype = np.uint8 if part.dtype == np.uint8 else np.float32
    shape = (part.count, math.prod(part.shape))
    with replacing(path) as partial:
        rows = np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape)
        start = 0
        for x in part.read():
            rows[start : start + len(x)] = stored(x, known)
            start += len(x)
        rows.flush()


def _remove_stale(folder: Path, *, keep: str) -> None:
    """Remove files of earlier contents of the data set, and partial ones."""
    # A process that was killed leaves a partial file; only one process writes here.
    for path in list(folder.iterdir()):
        stale = keep not in path.name or path.suffix == ".partial"
        if stale and path.name != "lock":
            path.unlink(missing_ok=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

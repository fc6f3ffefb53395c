"""Files of a data set: from a path, folder, glob or URI to the files of its parts.

A folder may hold ``train.parquet`` and ``test.parquet``, shards such as
``train-00000-of-00003.parquet``, folders of these names (as Spark writes them), any of
that in one folder below (``data/``), or files of one table without parts, also in hive
partitions ``year=2020/``. Names that begin with ``_`` or ``.`` are passed over.
"""

import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from senn_ray.core.errors import DataError

ENDINGS = {
    "parquet": (".parquet", ".pq"),
    "csv": tuple(
        kind + packed
        for kind in (".csv", ".tsv")
        for packed in ("", ".gz", ".bz2", ".zst")
    ),
    "arrow": (".arrow", ".feather", ".ipc"),
}
"""Endings of the files of a kind of data set, looked for in folders."""
PARTS = {
    "train": "train|training",
    "test": "test|testing",
    "validation": "validation|valid|val|dev|eval",
}
_SHARD = r"(?:[-_.]?\d[\w-]*)?"
_HIVE = re.compile(r"[^=/]+=[^/]*$")


@dataclass(frozen=True, kw_only=True)
class Found:
    """The files of a data set."""

    system: pafs.FileSystem
    base: str
    """The folder that hive partitions are below."""
    parts: dict[str, list[pafs.FileInfo]]
    """By part: train, test, validation; or ``all`` for a table without parts."""
    notes: tuple[str, ...] = ()


def find(kind: str, uri: str) -> Found:
    """Find the files of a data set.

    Args:
        kind: A key of ``ENDINGS``.
        uri: A path, or a URI such as ``s3://bucket/prefix``: a file, a folder, or a
            pattern with ``*``.

    Raises:
        DataError: if there is nothing, or nothing of that kind.
    """
    name = f"{kind}:{uri}"
    try:
        system, path = locate(uri)
        if any(sign in path for sign in "*?["):
            return _by_pattern(name, system, path)
        info = system.get_file_info(path)
        if info.type == pafs.FileType.NotFound:
            raise DataError(f"{name} cannot be read: there is no such file or folder")
        if info.is_file:
            base = path.rpartition("/")[0]
            return Found(system=system, base=base, parts={"all": [info]})
        listing = system.get_file_info(pafs.FileSelector(path, recursive=True))
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{name} cannot be read: {reason}") from error
    files = [f for f in listing if f.is_file and _is_wanted(kind, path, f)]
    if not files:
        raise DataError(
            f"{name}: no file in that folder ends in {', '.join(ENDINGS[kind])}"
        )
    return _sorted_out(name, system, path, files)


def locate(uri: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system of a URI or path, and the path on it."""
    if "://" in uri:
        return pafs.FileSystem.from_uri(uri)
    return pafs.LocalFileSystem(), str(Path(uri).expanduser().absolute())


def _is_wanted(kind: str, base: str, info: pafs.FileInfo) -> bool:
    inside = info.path[len(base) :].strip("/").split("/")
    hidden = any(part.startswith(("_", ".")) for part in inside)
    return not hidden and info.base_name.lower().endswith(ENDINGS[kind])


def _by_pattern(name: str, system: pafs.FileSystem, pattern: str) -> Found:
    parts = pattern.split("/")
    fixed = next(i for i, part in enumerate(parts) if any(s in part for s in "*?["))
    base = "/".join(parts[:fixed])
    listing = system.get_file_info(
        pafs.FileSelector(base, recursive=True, allow_not_found=True)
    )
    files = [f for f in listing if f.is_file and fnmatch.fnmatchcase(f.path, pattern)]
    if not files:
        raise DataError(f"{name}: no file matches that pattern")
    return _sorted_out(name, system, base, files)


def _sorted_out(
    name: str, system: pafs.FileSystem, base: str, files: Sequence[pafs.FileInfo]
) -> Found:
    """Tell which file belongs to which part, by the first folder or the file name."""
    files = sorted(files, key=lambda info: info.path)
    while len(below := {_first(base, info) for info in files}) == 1:
        (only,) = below
        inner = f"{base}/{only}"
        if part_of(only) or _HIVE.match(only) or any(f.path == inner for f in files):
            break
        base = inner
    parts: dict[str, list[pafs.FileInfo]] = {}
    for info in files:
        parts.setdefault(part_of(_first(base, info)) or "", []).append(info)
    stray = list(parts.pop("", []))
    if not parts:
        return Found(system=system, base=base, parts={"all": stray})
    notes = list(_told(base, stray))
    for part, members in parts.items():
        exact = [f for f in members if _stem(_first(base, f)) in PARTS[part].split("|")]
        if exact and len(exact) < len(members):
            notes += _told(base, [f for f in members if f not in exact])
            parts[part] = exact
    if "train" not in parts:
        raise DataError(
            f"{name}: no file train* in that folder, only {', '.join(sorted(parts))}; "
            "name the training part, or give one file or pattern alone"
        )
    return Found(system=system, base=base, parts=parts, notes=tuple(notes))


def part_of(name: str) -> str | None:
    """Tell which part a file or folder is, by its name: train, test or validation."""
    stem = _stem(name)
    for part, words in PARTS.items():
        if re.fullmatch(rf"(?:{words}){_SHARD}", stem):
            return part
    return None


def _first(base: str, info: pafs.FileInfo) -> str:
    return info.path[len(base) :].strip("/").partition("/")[0]


def _stem(name: str) -> str:
    return name.lower().partition(".")[0]


def _told(base: str, files: Sequence[pafs.FileInfo]) -> Iterator[str]:
    if files:
        names = ", ".join(f.path[len(base) :].strip("/") for f in files[:5])
        more = f" and {len(files) - 5} more" if len(files) > 5 else ""
        yield f"not read, as the names of parts have no such form: {names}{more}"

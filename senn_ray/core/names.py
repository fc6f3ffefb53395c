"""Names that were read somewhere, before they become paths.

A run folder may come from anybody, so nothing in it may name what lies outside of it.
"""

from pathlib import Path

from senn_ray.core.errors import DataError

LONGEST = 200
_FORBIDDEN = frozenset({"", ".", ".."})


def plain(name: str) -> str:
    """Return a name, if it is one: the name of something in a folder, and no path.

    Raises:
        DataError: if it could lead elsewhere.
    """
    if name in _FORBIDDEN or len(name) > LONGEST or not name.isprintable():
        raise DataError(f"{name[:LONGEST]!r} is no name")
    if "/" in name or "\\" in name:
        raise DataError(f"{name!r} is a path, not a name")
    return name


def inside(folder: Path, name: str) -> Path:
    """Return the path of something in a folder, by names separated by ``/``.

    Raises:
        DataError: if it would lie elsewhere, also by a link in the folder.
    """
    path = folder.joinpath(*map(plain, name.split("/")))
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{path} leads out of {folder}: remove that link")
    return path

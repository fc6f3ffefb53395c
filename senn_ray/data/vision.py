"""Image data sets of torchvision: downloaded on first use, once per node."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data.assemble import Part, assemble
from senn_ray.data.examples import RawData

NAMES = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10"}
"""Our names and torchvision's classes."""
CIFAR_FOLDER, CIFAR_ARCHIVE = "cifar-10-batches-py", "cifar-10-python.tar.gz"
FOLDERS = {
    "mnist": ("MNIST/raw",),
    "fashion-mnist": ("FashionMNIST/raw",),
    "cifar10": ("", CIFAR_FOLDER),
}
CHANNELS_LAST_DIMS = 4
LOCK_TIMEOUT_S = 1800
VAL_PER_CLASS = 500
"""Validation examples of every class: a tenth of CIFAR-10."""
WRITE_BITS = 0o222


def root_folder(config: DataConfig) -> Path:
    """Return the folder of torchvision data: ``data.root`` or the user's cache."""
    if config.root is not None:
        return config.root.expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "senn-ray"


def is_cached(name: str, root: Path) -> bool:
    """Tell whether the files of a data set seem to be there (nothing is read)."""
    return any(_files(root / folder) for folder in FOLDERS[name])


def read(name: str, root: Path) -> RawData:
    """Read a data set, downloading it first if it is not there.

    Args:
        name: A key of ``NAMES``.
        root: Folder with torchvision's layout; if it is read-only, archives in it are
            unpacked elsewhere for the time of reading.

    Raises:
        DataError: if files are missing and cannot be downloaded, or are damaged.
    """
    try:
        with _writable(name, root) as (folder, download):
            train, test = (
                _part(name, folder, part, download) for part in (True, False)
            )
    except (OSError, RuntimeError, ValueError, AssertionError, EOFError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{name}: no usable files under {root}, and downloading them failed or "
            f"did not help ({reason}); copy the files there, delete damaged ones, or "
            "set --data.root"
        ) from error
    rarest = int(np.bincount(train[1]).min())
    return assemble(
        name,
        train=train,
        test=test,
        # Cut sets, as tests make them, have fewer.
        val_per_class=min(VAL_PER_CLASS, max(rarest // 10, 1)),
    )


def _part(name: str, folder: Path, train: bool, download: bool) -> Part:  # noqa: FBT001
    import torchvision

    kind = getattr(torchvision.datasets, NAMES[name])
    data: Any = kind(str(folder), train=train, download=download)
    images = np.asarray(data.data)
    labels = np.asarray(data.targets, dtype=np.int64)
    if images.ndim == CHANNELS_LAST_DIMS:
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2)), labels
    return images[:, None], labels


@contextlib.contextmanager
def _writable(name: str, root: Path) -> Iterator[tuple[Path, bool]]:
    """Give a folder that torchvision may write to, and whether it may download."""
    if not all(_may_write(root / folder) for folder in ("", *FOLDERS[name])):
        with tempfile.TemporaryDirectory(prefix="senn-ray-") as staged:
            linked = [_link(root, Path(staged), folder) for folder in FOLDERS[name]]
            # "Download" unpacks the archives that are there; with none, it must fail.
            yield Path(staged), any(linked)
        return
    root.mkdir(parents=True, exist_ok=True)
    # Several jobs of a node may start at once on an empty folder.
    with FileLock(root / f".{name}.lock", timeout=LOCK_TIMEOUT_S):
        yield root, True


def _may_write(folder: Path) -> bool:
    if not folder.exists():
        return True
    # The superuser may write anywhere, but a folder that says "read-only" means it.
    return os.access(folder, os.W_OK) and bool(folder.stat().st_mode & WRITE_BITS)


def _link(root: Path, staged: Path, folder: str) -> int:
    target = staged / folder
    target.mkdir(parents=True, exist_ok=True)
    files = _files(root / folder)
    for path in files:
        (target / path.name).symlink_to(path.resolve())
    return len(files)


def _files(folder: Path) -> list[Path]:
    """List the files of a data set in one of its folders, archives too."""
    inside = folder.name in {"raw", CIFAR_FOLDER}
    found = folder.glob("*" if inside else CIFAR_ARCHIVE)
    return [path for path in found if path.is_file()]

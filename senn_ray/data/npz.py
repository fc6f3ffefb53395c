"""NumPy archives: arrays by name, never pickles."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError

FEATURES, LABELS = (
    ("x", "features", "data", "images", "arr_0"),
    (
        "y",
        "labels",
        "label",
        "targets",
        "target",
        "arr_1",
    ),
)
MOST_RATIO, FREE_BYTES = 1100, 100e6
"""Zeros pack to a thousandth; more, above so many bytes, is no archive of arrays."""


def read_npz(uri: str, config: DataConfig) -> Any:
    """Read an archive: x_train, y_train, x_test, y_test, or x and y.

    Args:
        uri: The file.
        config: ``memory_gb`` bounds what it may unpack to.

    Returns:
        What ``objects.from_object`` takes.

    Raises:
        DataError: if it is damaged, holds pickles, or lacks arrays.
    """
    path = Path(uri).expanduser()
    try:
        _check_size(path, config.memory_gb * 1e9)
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except DataError:
        raise
    except ValueError as error:
        if "pickle" in str(error).lower():
            raise DataError(
                f"npz:{uri} holds Python objects (pickles), which are never loaded; save "
                "arrays of numbers or words"
            ) from error
        raise DataError(f"npz:{uri} is damaged: {error}") from error
    except (OSError, zipfile.BadZipFile, EOFError, MemoryError, KeyError) as error:
        raise DataError(f"npz:{uri} cannot be read: {error}") from error
    return _parts(f"npz:{uri}", arrays)


def _check_size(path: Path, most_bytes: float) -> None:
    """Refuse archives that unpack to more than memory, before anything is unpacked."""
    with zipfile.ZipFile(path) as archive:
        total = sum(info.file_size for info in archive.infolist())
    packed = path.stat().st_size
    bomb = total > FREE_BYTES and total > MOST_RATIO * packed
    if bomb or total > (most_bytes or float("inf")):
        raise DataError(
            f"npz:{path}: {packed} bytes unpack to {total / 1e9:.3g} GB, which is "
            + (
                "no archive of data"
                if bomb
                else "more than data.memory_gb; use Parquet"
            )
        )


def _parts(name: str, arrays: dict[str, np.ndarray]) -> Any:
    """Find features and labels of the parts by the names of arrays."""
    found = {key.lower(): value for key, value in arrays.items()}

    def pair(part: str) -> tuple[np.ndarray, np.ndarray] | None:
        sides = []
        for names in (FEATURES, LABELS):
            forms = [f for n in names for f in (f"{n}_{part}", f"{part}_{n}")]
            forms = forms if part else list(names)
            sides.append(next((found[form] for form in forms if form in found), None))
        x, y = sides
        return None if x is None or y is None else (x, y)

    train, test, whole = pair("train"), pair("test"), pair("")
    if train and test:
        return train, test
    if train or whole:
        return {"train": train or whole}
    raise DataError(
        f"{name} holds {', '.join(arrays) or 'nothing'}; it needs arrays x_train, y_train, "
        "x_test, y_test, or x and y"
    )

"""Sources of data, by the first word of ``data.dataset``: each ends as ``RawData``."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from senn_ray.config import DataConfig
from senn_ray.core.errors import ConfigError, DataError
from senn_ray.data import files, vision
from senn_ray.data.assemble import assemble
from senn_ray.data.examples import RawData
from senn_ray.data.factory import call
from senn_ray.data.folders import read_folder
from senn_ray.data.npz import read_npz
from senn_ray.data.objects import from_object
from senn_ray.data.tables import Table, in_memory, open_table
from senn_ray.data.tabular import from_tables

DIGITS_TEST_EXAMPLES = 500
DIGITS_VAL_PER_CLASS = 20
# Scans are compared over seeds, so the test part of digits never depends on one.
DIGITS_SPLIT_SEED = 20240607
SKLEARN = ("iris", "wine", "breast_cancer", "diabetes", "linnerud")
"""Sets that come with scikit-learn; digits has a name of its own."""
TABLES = ("csv", "parquet", "arrow")
OWN = ("csv:", "parquet:", "arrow:", "npz:", "imagefolder:", "factory:")
"""Data that users bring along."""


def read(config: DataConfig) -> RawData:
    """Read the data set that the settings name.

    Args:
        config: The section ``data`` of the settings. An unknown name is a
            ``ConfigError``, files that are missing or unfit are a ``DataError``.
    """
    kind, _, rest = config.dataset.partition(":")
    cache = vision.root_folder(config) / "rows"
    if rest and kind in TABLES:
        tables, notes = open_tables(kind, rest, config)
        return from_tables(config.dataset, tables, config, cache=cache, notes=notes)
    readers: dict[str, Callable[[], RawData]] = {
        "factory": lambda: from_object(config.dataset, call(rest), config, cache),
        "npz": lambda: from_object(
            config.dataset, read_npz(rest, config), config, cache
        ),
        "imagefolder": lambda: from_tables(
            config.dataset, read_folder(rest), config, cache=cache
        ),
        "sklearn": lambda: _read_sklearn(rest, config),
    }
    if rest and kind in readers:
        return readers[kind]()
    if config.dataset in vision.NAMES:
        return vision.read(config.dataset, vision.root_folder(config))
    if config.dataset == "digits":
        return _read_digits()
    raise ConfigError(_unknown_message(config.dataset))


def open_tables(
    kind: str, uri: str, config: DataConfig
) -> tuple[dict[str, Table], tuple[str, ...]]:
    """Open the files of a data set as a table for each part, and say which are not read."""
    found = files.find(kind, uri)
    most = config.memory_gb * 1e9 or float("inf")
    tables = {
        part: open_table(
            kind,
            f"{kind}:{uri}",
            found.system,
            members,
            base=found.base,
            most_bytes=most,
        )
        for part, members in found.parts.items()
    }
    return tables, found.notes


def open_rows(dataset: str, config: DataConfig) -> Table:
    """Open a table whose rows are to be predicted.

    Args:
        dataset: csv:, parquet:, arrow: or imagefolder: and a path.
        config: Settings by which memory goes.

    Raises:
        ConfigError: if it is something else.
        DataError: if it has several parts.
    """
    kind, _, rest = dataset.partition(":")
    if rest and kind in TABLES:
        tables, _ = open_tables(kind, rest, config)
    elif rest and kind == "imagefolder":
        tables = read_folder(rest)
    else:
        raise ConfigError(
            f"--data {dataset!r}: rows to predict are csv:FILE, parquet:URI, arrow:FILE "
            "or imagefolder:FOLDER"
        )
    if "all" not in tables:
        raise DataError(
            f"{dataset} has the parts {', '.join(tables)}; give the files of one of them"
        )
    return tables["all"]


def _unknown_message(name: str) -> str:
    known = ["digits", *vision.NAMES]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    kind = next((k for k, ends in files.ENDINGS.items() if name.endswith(ends)), None)
    if kind or Path(name).exists():
        hint = f"for files type {kind or 'parquet'}:{name}; "
    return (
        f"data.dataset {name!r} is not known; {hint}choose {', '.join(known)}, "
        "sklearn:NAME, csv:FILE, parquet:URI, arrow:FILE, npz:FILE, imagefolder:FOLDER or "
        "factory:package.module:function"
    )


def _read_digits() -> RawData:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    features, labels = load_digits(return_X_y=True)
    parts: list[Any] = train_test_split(
        features.astype(np.uint8).reshape(-1, 1, 8, 8),
        labels.astype(np.int64),
        test_size=DIGITS_TEST_EXAMPLES,
        stratify=labels,
        random_state=DIGITS_SPLIT_SEED,
    )
    train_x, test_x, train_y, test_y = parts
    return assemble(
        "digits",
        train=(train_x, train_y),
        test=(test_x, test_y),
        val_per_class=DIGITS_VAL_PER_CLASS,
    )


def _read_sklearn(name: str, config: DataConfig) -> RawData:
    """Read a set that comes with scikit-learn, with its names."""
    if name == "digits":
        return _read_digits()
    if name not in SKLEARN:
        raise ConfigError(
            f"data.dataset sklearn:{name} is not known; choose "
            f"{', '.join(f'sklearn:{n}' for n in SKLEARN)} or digits"
        )
    import sklearn.datasets

    found = getattr(sklearn.datasets, f"load_{name}")()
    columns = dict(zip(map(str, found.feature_names), found.data.T, strict=True))
    target, words = found.target, [str(n) for n in found.get("target_names", [])]
    if np.issubdtype(target.dtype, np.integer):
        labels = {"label": np.array(words)[target]}
    elif target.ndim > 1:
        labels = dict(zip(words, target.T, strict=True))
    else:
        labels = {"label": target}
    if not config.label:
        config = config.model_copy(update={"label": tuple(labels)})
    table = in_memory(f"sklearn:{name}", pa.table({**columns, **labels}))
    return from_tables(f"sklearn:{name}", {"all": table}, config)

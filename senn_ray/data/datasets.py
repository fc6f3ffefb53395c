"""Data sets: read, checked, standardised and arranged, ready to be shared.

The official training part is shuffled once by a fixed seed and arranged so that the
validation examples come last (``splits.arranged``): a worker that trains on all of it then
reads the shared array in place.
"""

import dataclasses

import numpy as np

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data import vision
from senn_ray.data.duplicates import check_duplicates
from senn_ray.data.examples import RawData
from senn_ray.data.sources import OWN, read
from senn_ray.data.splits import arranged
from senn_ray.data.standardisation import (
    chunks_of,
    standardisation,
    target_standardisation,
)

SHOWN = 5
"""Most examples and features that a message names."""


def load(config: DataConfig) -> RawData:
    """Load the data set that the settings name, checked and ready to be shared.

    Args:
        config: The section ``data`` of the settings. An unknown name is a
            ``ConfigError``, files that are missing or unfit are a ``DataError``.
    """
    return prepared(read(config), config)


def prepared(raw: RawData, config: DataConfig) -> RawData:
    """Check a data set that was read, measure its standardisation, and arrange it.

    Args:
        raw: The data set.
        config: The section ``data`` of the settings. Features that are not finite, or
            examples that are in both parts by accident, are a ``DataError``.
    """
    _check_features(raw)
    notes = list(raw.notes) if ":" in config.dataset else []
    if config.dataset.startswith(OWN):
        allowed = config.allow_overlap is not None
        notes += check_duplicates(raw, allowed=allowed, own_split=raw.own_split)
    shift, scale = standardisation(raw)
    targets = target_standardisation(raw)
    ordered = arranged(raw, config)
    return dataclasses.replace(
        ordered, shift=shift, scale=scale, notes=tuple(notes), **targets
    )


def check(config: DataConfig) -> str:
    """Say what is known of a data set, without downloading it.

    Args:
        config: The section ``data`` of the settings; errors are those of ``load``.
    """
    root = vision.root_folder(config)
    if config.dataset in vision.NAMES and not vision.is_cached(config.dataset, root):
        return f"{config.dataset}: not in {root} yet, downloaded on first use"
    raw = load(config)
    counts = f"{len(raw.train_y)} training, {len(raw.test_y)} test examples"
    return "; ".join([f"{raw.name}: {counts}", *raw.notes])


def _check_features(raw: RawData) -> None:
    for part, x in (("training", raw.train_x), ("test", raw.test_x)):
        if x.dtype == np.uint8:
            continue
        finite = [np.isfinite(chunk).all(axis=1) for chunk in chunks_of(x)]
        bad = np.flatnonzero(~np.concatenate(finite))
        if len(bad):
            places = np.flatnonzero(~np.isfinite(x[bad]).all(axis=0))
            raise DataError(
                f"{raw.name}: {len(bad)} {part} examples have NaN or infinite features "
                f"(examples {_listed(bad)}; features {_listed(places)}); remove or "
                "repair them, or give a table with a column for each feature, whose "
                "missing values are filled"
            )


def _listed(numbers: np.ndarray) -> str:
    text = ", ".join(map(str, numbers[:SHOWN].tolist()))
    return text + (", …" if len(numbers) > SHOWN else "")

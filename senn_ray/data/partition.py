"""Parts at the source: training and test part of tables.

They are files of their own, or a column says which row is which; otherwise the test part
is taken from the training part. The validation part is taken later (``splits``).
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data.files import part_of
from senn_ray.data.label_columns import labels_of
from senn_ray.data.layout import Layout, shown
from senn_ray.data.tables import Table

SPLIT_SEED = 0
"""Scans are compared over seeds, so a test part never depends on one."""


def parts_of(
    name: str, tables: Mapping[str, Table], layout: Layout, config: DataConfig
) -> tuple[tuple[Table, Table], list[str]]:
    """Return the training and the test part, and how they came about."""
    notes = []
    train = tables["train"] if "train" in tables else tables["all"]
    test = tables.get("test")
    if config.split is not None:
        return _by_column(name, train, config.split)
    held = tables.get("validation")
    if test is None and held is not None:
        test = held
        notes.append("there is no test part: the validation part is used for testing")
    elif held is not None:
        notes.append(
            f"the validation part ({len(held)} examples) is not used: validation "
            "examples are taken from the training part"
        )
    for which, part in (("training", train), ("test", test)):
        if part is not None and not len(part):
            place = part.pieces[0].place if part.pieces else part.name
            raise DataError(f"{place} holds no examples: the {which} part is empty")
    if test is None:
        chosen = random_rows(name, labels_of(train, layout.labels).values, config)
        notes.append(
            f"there is no test part: {int(chosen.sum())} of {len(chosen)} examples are "
            "kept for it, at random and stratified (data.test_fraction)"
        )
        return (train.taking(~chosen), train.taking(chosen)), notes
    return (train, test), notes


def _by_column(
    name: str, table: Table, column: str
) -> tuple[tuple[Table, Table], list[str]]:
    values = table.column(column)
    if values.null_count:
        raise DataError(
            f"{name}: column {column} says of {values.null_count} rows no part"
        )
    texts = values.cast(pa.string()).to_pylist()
    parts = {text: part_of(text) for text in set(texts)}
    wrong = sorted(text for text, part in parts.items() if part is None)
    if wrong:
        raise DataError(
            f"{name}: data.split {column} holds {shown(wrong)}; it must say train, test "
            "or validation"
        )
    found = np.array([parts[text] for text in texts])
    test = found == "test"
    if not (~test).any() or not test.any():
        lacking = "test" if (~test).any() else "train"
        raise DataError(f"{name}: data.split {column} never says {lacking}")
    notes = []
    if held := int((found == "validation").sum()):
        notes.append(
            f"{held} validation examples of column {column} are added to the training "
            "part, of which the validation part is taken"
        )
    return (table.taking(~test), table.taking(test)), notes


def random_rows(name: str, labels: np.ndarray, config: DataConfig) -> np.ndarray:
    """Choose test examples at random, of each class its share: bool [n].

    Args:
        name: What messages call the data set.
        labels: [n], or [n, m], of which the first counts.
        config: ``test_fraction`` and ``task``.

    Raises:
        DataError: if there are too few examples.
    """
    keys = labels if labels.ndim == 1 else labels[:, 0]
    _, classes, counts = np.unique(keys, return_inverse=True, return_counts=True)
    if config.task == "regression" or len(counts) > len(keys) // 2:
        classes = np.zeros(len(keys), np.int64)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(keys))
    order = order[np.argsort(classes[order], kind="stable")]
    sizes = np.bincount(classes)
    first = np.cumsum(sizes) - sizes
    rank = np.arange(len(keys)) - np.repeat(first, sizes)
    # Rounded sums, so that small classes together give their share; each keeps one.
    shares = np.floor(config.test_fraction * np.append(first, len(keys)) + 0.5)
    wanted = np.minimum(np.diff(shares), sizes - 1)
    chosen = np.zeros(len(keys), bool)
    chosen[order] = rank < np.repeat(wanted, sizes)
    if not chosen.any():
        raise DataError(
            f"{name}: {len(keys)} examples are too few to keep "
            f"{config.test_fraction:g} of them for testing; give more, or raise "
            "data.test_fraction"
        )
    return chosen

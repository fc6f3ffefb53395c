"""From features and labels of both parts to checked ``RawData``."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data.codes import Column
from senn_ray.data.examples import RawData
from senn_ray.data.labels import Given, given, settle
from senn_ray.data.mapped import Rows, features
from senn_ray.data.standardisation import stored_targets

Part = tuple[np.ndarray, np.ndarray]
"""Features [n, ...] and labels [n] or [n, targets] of one part of a data set."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is known of a data set beside its arrays."""

    label_columns: tuple[str, ...] = ("label",)
    columns: tuple[Column, ...] = ()
    notes: tuple[str, ...] = ()
    own_split: bool = False
    """Whether the test part was taken at random from one table."""
    val_per_class: int | None = None
    """Equal numbers of validation examples of the classes, if nothing else is said; if left
    out, they have the shares of the classes."""
    config: DataConfig = field(default_factory=DataConfig)
    """Settings by which labels and memory go."""
    cache: Path = Path()
    """Folder of the files of features that memory cannot hold."""


def assemble(
    name: str,
    *,
    train: Part,
    test: Part,
    val_per_class: int | None = None,
    told: Told | None = None,
) -> RawData:
    """Check arrays of two parts of a data set and put them together.

    Args:
        name: What messages call the data set.
        train: Official training part; images are channels first.
        test: Official test part.
        val_per_class: Equal numbers of validation examples of the classes, if nothing
            else is said.
        told: What else is known.

    Raises:
        DataError: if lengths, shapes, labels or tasks do not fit together.
    """
    for which, part in (("training", train), ("test", test)):
        _check(name, which, part)
    shapes = [x.shape[1:] for x, _ in (train, test)]
    if shapes[0] != shapes[1]:
        raise DataError(
            f"{name}: {_width(name, shapes[0], shapes[1])}; both parts need the same shape"
        )
    rows = [
        Rows(
            which=which,
            count=len(x),
            shape=x.shape[1:],
            dtype=x.dtype,
            read=lambda x=x: iter((x,)),
        )
        for which, (x, _) in (("train", train), ("test", test))
    ]
    labels = [given(y) for _, y in (train, test)]
    known = replace(told or Told(), val_per_class=val_per_class)
    return put_together(name, rows, labels, known)


def put_together(
    name: str, rows: Sequence[Rows], labels: Sequence[Given], told: Told
) -> RawData:
    """Settle labels, store features, and make the data set of both.

    Args:
        name: What messages call the data set.
        rows: Features of the training and the test part.
        labels: Their labels.
        told: What else is known.
    """
    config, (train, test) = told.config, rows
    settled = settle(name, labels[0], labels[1], config, columns=told.label_columns)
    train_x, test_x, known = features(
        name,
        train,
        test,
        memory_bytes=config.memory_gb * 1e9,
        cache=told.cache,
    )
    train_y, test_y = settled.train_y, settled.test_y
    if settled.labels.task == "classification":
        outputs = len(settled.labels.classes)
    else:
        train_y, test_y = stored_targets(train_y, test_y)
        outputs = train_y.shape[1]
    return RawData(
        name=name,
        task=settled.labels.task,
        num_outputs=outputs,
        feature_shape=train.shape,
        train_x=train_x,
        train_y=train_y,
        test_x=test_x,
        test_y=test_y,
        default_val_per_class=told.val_per_class,
        encoding=known,
        labels=settled.labels,
        columns=told.columns,
        own_split=told.own_split,
        notes=(*told.notes, *settled.notes),
    )


def _check(name: str, which: str, part: Part) -> None:
    x, y = part
    if len(x) == 0 or len(x) != len(y):
        raise DataError(
            f"{name}: the {which} part has {len(x)} examples and {len(y)} labels; "
            "it needs as many of one as of the other, and at least one"
        )
    if x.dtype.kind not in "uifb":
        raise DataError(f"{name}: {which} features are {x.dtype}; numbers are needed")
    if x.ndim == 1 or 0 in x.shape[1:]:
        raise DataError(
            f"{name}: {which} features have shape {list(x.shape)}; an example needs a "
            "row of them, [n, features]"
        )


def _width(name: str, train: tuple[int, ...], test: tuple[int, ...]) -> str:
    del name
    if len(train) == len(test) == 1:
        return f"a training example has {train[0]} features, a test example {test[0]}"
    return f"training examples have shape {list(train)}, test examples {list(test)}"

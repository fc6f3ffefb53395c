"""Labels: from what a user has to class numbers or targets, and back.

Classes are numbered once, by the training part: words and truth values in sorted order,
whole numbers by size, names of a schema in its order. Test labels are matched by value,
never by number, so a test part that numbers its names otherwise means the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data.codes import Labels

FEW = 20
"""Most different numbers that may be classes without a word of the user."""
LEAST = 2
"""Training examples of a class: one to learn from, one to validate with."""
SHOWN = 8
"""Most classes that a message names."""
SETTLE = "say which: --data.task classification (classes) or --data.task regression (amounts)"


@dataclass(frozen=True, kw_only=True)
class Given:
    """Labels of one part, as they were given."""

    values: np.ndarray
    """[n] or [n, m]: integers, floats, truth values; or numbers of ``names``."""
    names: tuple[str, ...] | None = None
    """What the values stand for, if they are words."""
    declared: bool = False
    """Whether a schema says that all of ``names`` occur."""

    @property
    def kind(self) -> str:
        """Say what they are: words, truth, integers, floats."""
        if self.names is not None:
            return "words"
        known = {"b": "truth", "i": "integers", "u": "integers", "f": "floats"}
        return known.get(self.values.dtype.kind, str(self.values.dtype))


@dataclass(frozen=True, kw_only=True)
class Settled:
    """Labels as networks learn them."""

    labels: Labels
    train_y: np.ndarray
    """int64 [n] classes, or floats [n, m] targets."""
    test_y: np.ndarray
    notes: tuple[str, ...] = ()


def given(values: Any) -> Given:
    """Take labels that a function returned: an array, or a list of anything.

    Args:
        values: [n] or [n, m], words or numbers; a column [n, 1] counts as [n].
    """
    array = np.asarray(values)
    if array.ndim > 1 and array.shape[1:] == (1,):
        array = array[:, 0]
    if array.dtype.kind in "OUS" and array.ndim == 1:
        if all(isinstance(v, bool | np.bool_) for v in array):
            return Given(values=array.astype(bool))
        missing = sum(v is None or v != v for v in array)
        if missing:
            raise DataError(f"{missing} labels are missing; drop these examples")
        if all(isinstance(v, str | bytes) for v in array):
            words = [v.decode() if isinstance(v, bytes) else str(v) for v in array]
            names, numbers = np.unique(words, return_inverse=True)
            return Given(values=numbers, names=tuple(map(str, names)))
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"labels are of mixed kinds ({error}); give words or numbers alone"
            ) from error
    return Given(values=array)


def settle(
    name: str,
    train: Given,
    test: Given,
    config: DataConfig,
    *,
    columns: Sequence[str] = ("label",),
) -> Settled:
    """Decide between classes and targets, and number the classes.

    Args:
        name: What messages call the data set.
        train: Labels of the training part, which decide.
        test: Labels of the test part.
        config: ``task`` settles what the labels leave open. Labels that are missing,
            mixed or ambiguous are a ``DataError``, and so are classes of the test part
            that the training part lacks.
        columns: Names of the label columns.
    """
    train, test = _alike(name, train, test)
    for which, part in (("training", train), ("test", test)):
        _check(name, which, part)
    what = ", ".join(columns)
    if train.values.ndim > 1:
        return _several(name, what, train, test, config, columns)
    if _is_classification(name, what, train, test, config):
        return _classes(name, what, train, test, config)
    return _targets(name, what, train, test, columns)


def _alike(name: str, train: Given, test: Given) -> tuple[Given, Given]:
    """Bring both parts to one kind, where that loses nothing."""
    kinds = {train.kind, test.kind}
    if kinds == {"integers", "floats"} and _whole(train.values) and _whole(test.values):
        parts = (np.asarray(p.values).astype(np.int64) for p in (train, test))
        first, second = (Given(values=values) for values in parts)
        return first, second
    if len(kinds) > 1:
        raise DataError(
            f"{name}: training labels are {train.kind}, test labels {test.kind}; give "
            "both parts labels of one kind"
        )
    if train.values.shape[1:] != test.values.shape[1:]:
        raise DataError(
            f"{name}: a training example has labels of shape "
            f"{list(train.values.shape[1:])}, a test example "
            f"{list(test.values.shape[1:])}"
        )
    return train, test


def _check(name: str, which: str, part: Given) -> None:
    if part.kind not in {"words", "truth", "integers", "floats"} or (
        part.values.ndim not in {1, 2}
    ):
        raise DataError(
            f"{name}: {which} labels are {part.values.dtype} of shape "
            f"{list(part.values.shape)}; they must be words or numbers, [n] or "
            "[n, targets]"
        )
    if part.kind == "floats":
        bad = np.flatnonzero(
            ~np.isfinite(part.values).reshape(len(part.values), -1).all(1)
        )
        if len(bad):
            raise DataError(
                f"{name}: {len(bad)} {which} labels hold NaN or infinite values (the "
                f"first is number {bad[0]}); drop these examples"
            )


def _whole(values: np.ndarray) -> bool:
    return values.dtype.kind != "f" or bool((values == np.rint(values)).all())


def _is_classification(
    name: str, what: str, train: Given, test: Given, config: DataConfig
) -> bool:
    """Tell classes from targets [n], or refuse what could be either."""
    if config.task == "regression":
        if train.kind == "words":
            raise DataError(
                f"{name}: column {what} holds words, which are no targets of a "
                "regression; leave --data.task out, or choose another --data.label"
            )
        return False
    if config.task == "classification" or train.kind in {"words", "truth"}:
        return True
    distinct, counts = np.unique(train.values, return_counts=True)
    seen = f"{len(distinct)} different numbers in {len(train.values)} examples"
    if train.kind == "integers":
        # A digit or a grade occurs again and again; a price does not.
        if len(distinct) > FEW and (counts == 1).sum() > len(distinct) // 20:
            raise DataError(
                f"{name}: column {what} has {seen} ({_shown(distinct)}): {SETTLE}"
            )
        return True
    if len(distinct) <= FEW and _whole(train.values) and _whole(test.values):
        raise DataError(
            f"{name}: column {what} holds floats that are whole numbers "
            f"({_shown(distinct)}), {seen}: {SETTLE}"
        )
    return False


def _classes(
    name: str, what: str, train: Given, test: Given, config: DataConfig
) -> Settled:
    values, train_y = _numbered(train)
    if train.declared and train.names is not None:
        values, train_y = _declared(name, train, values, config)
    if len(values) == 1:
        raise DataError(
            f"{name}: all training labels are {values[0]}, which leaves nothing to "
            "learn; give at least two classes, or --data.task regression"
        )
    counts = np.bincount(train_y)
    if counts.min() < LEAST:
        rare = [v for v, count in zip(values, counts, strict=True) if count < LEAST]
        raise DataError(
            f"{name}: class {_shown(rare)} has one training example, but training and "
            "validation need one each; add examples of it, or leave that one out"
        )
    if len(values) > len(train_y) // 2 and len(values) > FEW:
        raise DataError(
            f"{name}: column {what} has {len(values)} classes in {len(train_y)} "
            "examples: an identifier, or an amount? choose another --data.label, or "
            "say --data.task regression"
        )
    known = {value: number for number, value in enumerate(values)}
    test_values, numbers = _numbered(test)
    unknown = [v for v in test_values if v not in known]
    if unknown:
        bad = np.isin(numbers, [i for i, v in enumerate(test_values) if v not in known])
        raise DataError(
            f"{name}: {int(bad.sum())} test examples are of classes that the training "
            f"part lacks: {_shown(unknown)}; drop them, or add training examples"
        )
    to_known = np.array([known[value] for value in test_values], np.int64)
    labels = Labels(task="classification", columns=(what,), classes=tuple(values))
    return Settled(
        labels=labels,
        train_y=train_y,
        test_y=to_known[numbers],
        notes=(_told(what, train, values),),
    )


def _numbered(part: Given) -> tuple[list[Any], np.ndarray]:
    """Return the values that occur, sorted or as named, and the number of each label."""
    distinct, numbers = np.unique(part.values, return_inverse=True)
    numbers = numbers.reshape(-1).astype(np.int64)
    if part.names is not None:
        return [part.names[int(i)] for i in distinct], numbers
    return [value.item() for value in distinct], numbers


def _declared(
    name: str, train: Given, values: list[Any], config: DataConfig
) -> tuple[list[Any], np.ndarray]:
    """Number classes as a schema does that names them all."""
    absent = [word for word in train.names or () if word not in set(values)]
    if absent and config.absent_classes == "refuse":
        raise DataError(
            f"{name}: the schema has classes without a training example: "
            f"{_shown(absent)}; add examples, or leave these classes out: "
            "--data.absent-classes drop"
        )
    return values, np.unique(train.values, return_inverse=True)[1].astype(np.int64)


def _told(what: str, train: Given, values: list[Any]) -> str:
    """Say how labels were taken, and what to type where they may be amounts."""
    text = f"labels ({what}): {len(values)} classes {_shown(values)}"
    if train.kind == "integers" and values != [0, 1]:
        text += " (amounts, not classes? --data.task regression)"
    return text


def _several(
    name: str,
    what: str,
    train: Given,
    test: Given,
    config: DataConfig,
    columns: Sequence[str],
) -> Settled:
    """Take labels [n, m]: one-hot classes, or several targets."""
    hot = _one_hot(train.values) and _one_hot(test.values)
    if hot and config.task != "regression":
        parts = (Given(values=part.values.argmax(1)) for part in (train, test))
        names = columns if len(columns) == train.values.shape[1] else None
        first, second = parts
        if names:
            first, second = (
                Given(values=p.values, names=tuple(names)) for p in (first, second)
            )
        found = _classes(name, what, first, second, config)
        told = f"labels ({what}): one-hot rows are taken as classes"
        return Settled(
            labels=found.labels,
            train_y=found.train_y,
            test_y=found.test_y,
            notes=(f"{told} (targets? --data.task regression)", *found.notes),
        )
    if config.task == "classification" or train.kind == "truth":
        raise DataError(
            f"{name}: labels of {train.values.shape[1]} values each are not one-hot, "
            "and an example can have one class only; choose one --data.label, or take "
            "them as numbers: --data.task regression"
        )
    if train.kind == "integers" and config.task == "auto":
        raise DataError(
            f"{name}: labels are {train.values.shape[1]} whole numbers each; say "
            "--data.task regression if they are targets"
        )
    return _targets(name, what, train, test, columns)


def _one_hot(values: np.ndarray) -> bool:
    binary = ((values == 0) | (values == 1)).all()
    return bool(binary and (values.sum(1) == 1).all())


def _targets(
    name: str, what: str, train: Given, test: Given, columns: Sequence[str]
) -> Settled:
    del name
    width = 1 if train.values.ndim == 1 else train.values.shape[1]
    named = tuple(columns)
    if len(named) != width:
        named = tuple(f"{what}[{i}]" for i in range(width))
    train_y, test_y = (
        p.values.reshape(len(p.values), -1).astype(
            np.result_type(p.values.dtype, np.float32), copy=False
        )
        for p in (train, test)
    )
    notes = (f"labels ({what}): targets of a regression",)
    if train.kind == "floats" and _whole(train.values):
        notes = (
            f"labels ({what}): whole numbers kept as floats are taken as targets of a "
            "regression (classes? --data.task classification)",
        )
    labels = Labels(task="regression", columns=named)
    return Settled(labels=labels, train_y=train_y, test_y=test_y, notes=notes)


def _shown(values: Sequence[Any] | np.ndarray) -> str:
    """List a few values for a message."""
    listed = [v.item() if isinstance(v, np.generic) else v for v in values]
    text = ", ".join(str(value) for value in listed[:SHOWN])
    return text + (f", … ({len(listed)} in all)" if len(listed) > SHOWN else "")

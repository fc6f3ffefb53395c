"""Codes: what a user's values mean to a network, as plain data that JSON can hold.

A ``Column`` tells how one column of a table becomes inputs, ``Labels`` how classes are
numbered. Both travel with the data set, checkpoints and exported models, so that a model
can be used with the tables it was made from.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Task = Literal["classification", "regression"]
Kind = Literal["number", "truth", "time", "category", "list", "image"]
MISSING = ""
"""The level that stands for a missing value."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """How a column of a table becomes inputs of a network.

    ``number``, ``truth`` (0 or 1) and ``time`` (seconds since 1970, UTC) are one input, and
    one more that says 1 where the value is missing, if training examples lack some;
    ``category`` has one input for each of its levels; ``list`` and ``image`` have one
    for each element or pixel.
    """

    name: str
    kind: Kind
    fill: float = 0.0
    """What stands for a missing number: the mean of the training examples."""
    indicator: bool = False
    """Whether an input says that a number is missing."""
    levels: tuple[str, ...] = ()
    """Texts of a category."""
    rest: bool = False
    """Whether rare and unseen levels share one more input."""
    points: tuple[float, ...] = ()
    """Numbers that become ``scores``, others by linear interpolation: quantiles of the
    training numbers and of a normal distribution; none: numbers stay as they are."""
    scores: tuple[float, ...] = ()
    shape: tuple[int, ...] = ()
    """Of a list, or of an image [channels, height, width]."""
    resize: bool = False
    """Whether images are scaled to their shape."""
    deep: bool = False
    """Whether pixels have 16 bits."""

    @property
    def width(self) -> int:
        """The number of inputs."""
        if self.kind == "category":
            return len(self.levels) + self.rest
        if self.kind in {"list", "image"}:
            return math.prod(self.shape)
        return 1 + self.indicator


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What the outputs of a network stand for."""

    task: Task
    columns: tuple[str, ...]
    """The label column, or those of several targets."""
    classes: tuple[Any, ...] = ()
    """Words, numbers or truth values in the order of the outputs; none for targets."""


def column_to_json(column: Column) -> dict[str, Any]:
    """Return a column as JSON values; what is at its default is left out."""
    return {
        field.name: list(value) if isinstance(value, tuple) else value
        for field in dataclasses.fields(column)
        if (value := getattr(column, field.name)) != field.default
    }


def column_from_json(values: Mapping[str, Any]) -> Column:
    """Read what ``column_to_json`` gave."""
    plain: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in values.items()
    }
    return Column(**plain)


def labels_to_json(labels: Labels) -> dict[str, Any]:
    """Return labels as JSON values."""
    return {
        "task": labels.task,
        "columns": list(labels.columns),
        "classes": list(labels.classes),
    }


def labels_from_json(values: Mapping[str, Any]) -> Labels:
    """Read what ``labels_to_json`` gave."""
    return Labels(
        task=values["task"],
        columns=tuple(values["columns"]),
        classes=tuple(values["classes"]),
    )

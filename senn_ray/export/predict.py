"""Predictions of an exported model for the rows of a table, in the user's labels."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from senn_ray.core.errors import DataError
from senn_ray.data import images
from senn_ray.data.codes import Column, Labels, column_from_json, labels_from_json
from senn_ray.data.columns import encode, unseen
from senn_ray.data.image_rows import images_of
from senn_ray.data.tables import Batch, Table

CHUNK = 1024
"""Rows that go through the network at a time."""


class Model:
    """An exported model: a program, its inputs, and what its outputs stand for."""

    def __init__(self, folder: Path) -> None:
        """Read the files of a model.

        Args:
            folder: What ``senn-ray export`` wrote.

        Raises:
            DataError: if a file is missing or damaged.
        """
        try:
            spec = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
            facts = json.loads(
                (folder / "architecture.json").read_text(encoding="utf-8")
            )
            self.program: Any = torch.export.load(folder / "model.pt2").module()
            self.columns = tuple(map(column_from_json, spec["columns"]))
            self.labels = _labels(spec["labels"], facts)
            self.dtype = np.dtype(facts["input_dtype"])
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise DataError(
                f"{folder} is no model that can predict ({error}); write it with: "
                "senn-ray export RUN"
            ) from error

    def predict(self, table: Table) -> dict[str, np.ndarray]:
        """Predict all rows of a table.

        Args:
            table: Columns as in the training data; others are not read. A column that
                is missing, or of another kind, is a ``DataError``.

        Returns:
            By name: the prediction, and of classes their probabilities.
        """
        columns = _found(self.columns, table)
        outputs = [self._outputs(batch, columns) for batch in _batches(columns, table)]
        found = torch.cat(outputs) if outputs else torch.zeros(0, 1)
        if self.labels.task == "classification":
            return _classified(found, self.labels)
        names = self.labels.columns
        single = len(names) == 1
        return {
            "prediction" if single else f"prediction_{name}": found[:, i].numpy()
            for i, name in enumerate(names)
        }

    def unseen(self, table: Table) -> Iterator[str]:
        """Say which categories have levels that the training part lacked."""
        words = [column for column in self.columns if column.kind == "category"]
        yield from unseen(words, table) if words else ()

    @torch.no_grad()
    def _outputs(self, batch: Batch, columns: tuple[Column, ...]) -> Tensor:
        if columns[0].kind == "image":
            x = _pixels(batch, columns[0])
        else:
            x = encode(columns, batch, np.dtype(np.float64))
        rows = torch.from_numpy(x.astype(self.dtype, copy=False))
        return torch.cat([self.program(part) for part in rows.split(CHUNK)])


def _labels(values: Mapping[str, Any] | None, facts: Mapping[str, Any]) -> Labels:
    if values is not None:
        return labels_from_json(values)
    outputs = range(facts["num_outputs"])
    if facts["task"] == "classification":
        return Labels(task="classification", columns=("label",), classes=tuple(outputs))
    return Labels(task="regression", columns=tuple(f"target{i}" for i in outputs))


def _found(columns: tuple[Column, ...], table: Table) -> tuple[Column, ...]:
    """Return the columns as this table has them: a list may be a column for each element."""
    names = table.schema.names
    (first, *more) = columns
    if first.kind == "list" and not more and first.name not in names:
        if len(names) == first.width:
            return tuple(Column(name=name, kind="number") for name in names)
        raise DataError(
            f"{table.name}: the model needs a column {first.name} with lists of "
            f"{first.width} numbers, or {first.width} columns; there are {len(names)}"
        )
    absent = [column.name for column in columns if column.name not in names]
    if absent:
        raise DataError(
            f"{table.name}: columns of the training data are missing: "
            f"{', '.join(absent[:10])}; there are {', '.join(names[:10])}"
        )
    return columns


def _batches(columns: tuple[Column, ...], table: Table) -> Iterator[Batch]:
    yield from table.batches([column.name for column in columns])


def _pixels(batch: Batch, column: Column) -> np.ndarray:
    channels, height, width = column.shape
    form = images.Form(
        shape=(channels, height, width), deep=column.deep, resize=column.resize
    )
    places, encoded = zip(*images_of(batch, column.name), strict=True)
    return images.decode_all(places, encoded, form).reshape(len(places), -1)


def _classified(outputs: Tensor, labels: Labels) -> dict[str, np.ndarray]:
    chances = outputs.double().softmax(1).numpy()
    classes = np.array(labels.classes)
    if not len(chances):
        chances = np.zeros((0, len(classes)))
    return {
        "prediction": classes[chances.argmax(1)],
        **{f"probability_{name}": chances[:, i] for i, name in enumerate(classes)},
    }

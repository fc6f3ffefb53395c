"""Export: a network as files that need torch and nothing of senn-ray.

``model.pt2`` is a ``torch.export`` program from raw features (as the data set has them:
pixels are not scaled) to outputs; the standardisation is inside. Any batch size.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from senn_ray.core import files
from senn_ray.core.errors import DataError
from senn_ray.core.numbers import significant
from senn_ray.core.records import RunRecord
from senn_ray.data.codes import Column, column_to_json, labels_to_json
from senn_ray.data.delimited import MISSING
from senn_ray.data.examples import Examples, RawData
from senn_ray.data.splits import test_examples
from senn_ray.data.standardisation import Inputs, in_own_units, inputs_of, standardised
from senn_ray.export.card import model_card
from senn_ray.export.portable import Portable, has_wide_targets, portable
from senn_ray.maths.losses import loss
from senn_ray.nets.make import describe
from senn_ray.nets.network import Network, checksum
from senn_ray.training import checkpoints
from senn_ray.training.snapshots import to_bytes

CHUNK = 2048
TOLERANCE = 1e-4
"""On the test loss: layers are computed in one product, sums differ in the last bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """How good the exported program is on the test examples."""

    loss: float
    accuracy: float | None


def export(
    record: RunRecord,
    source: Path,
    raw: RawData | None,
    folder: Path,
    *,
    chosen_by: str | None = None,
) -> Measured | None:
    """Write the files of a model, and check that they do what the record says.

    Args:
        record: The run, as of the rung that is exported (``core.fronts.at_rung``).
        source: Its checkpoint.
        raw: The data set that it was trained on; or nothing, if it is out of reach.
        folder: Where the files go; what is there is replaced.
        chosen_by: The rule that chose the size, in words.

    Returns:
        What the program, read back, measures on the test examples, if there are any.

    Raises:
        DataError: if the network is not the one of the record.
    """
    net = checkpoints.load_network(source)
    if record.checksum is not None and checksum(net) != record.checksum:
        raise DataError(
            f"{source} is not the network that {record.run_id} had there; restore it"
        )
    inputs = checkpoints.load_inputs(source) if raw is None else inputs_of(raw)
    if inputs is None:
        raise DataError(
            f"{source} is older than its inputs are kept; it can be exported only with "
            f"the data set {record.dataset} within reach"
        )
    facts = architecture(net, inputs)
    with files.replacing_folder(folder) as fresh:
        _save_model(portable(net, inputs), math.prod(inputs.feature_shape), fresh)
        files.write_json(fresh / "architecture.json", facts)
        files.write_json(fresh / "inputs.json", described(inputs))
        measured = None if raw is None else _checked(record, fresh / "model.pt2", raw)
        told = measured and (measured.loss, measured.accuracy)
        card = model_card(record, facts, told, described(inputs), chosen_by)
        files.write_text(fresh / "MODEL_CARD.md", card)
    return measured


def _save_model(model: Portable, num_inputs: int, folder: Path) -> None:
    _save_program(model, num_inputs, folder / "model.pt2")
    files.write_bytes(folder / "weights.pt", to_bytes(model.state_dict()))


def _checked(record: RunRecord, path: Path, raw: RawData) -> Measured:
    program = torch.export.load(path).module()
    measured = measure(program, test_examples(raw), raw)
    _compare(record, measured)
    return measured


def described(inputs: Inputs) -> dict[str, object]:
    """Say what becomes of a row of a table, and what the outputs stand for."""
    whole = Column(name="features", kind="list", shape=inputs.feature_shape)
    labels = inputs.labels
    return {
        "columns": [column_to_json(c) for c in inputs.columns or (whole,)],
        "missing": list(MISSING),
        "labels": None if labels is None else labels_to_json(labels),
    }


def architecture(net: Network, inputs: Inputs) -> dict[str, object]:
    """Describe a network and its inputs, for readers without senn-ray."""
    return {
        **describe(net),
        "hidden": list(net.architecture().hidden),
        "task": inputs.task,
        "num_inputs": math.prod(inputs.feature_shape),
        "feature_shape": list(inputs.feature_shape),
        "feature_dtype": inputs.feature_dtype,
        "input_dtype": str(inputs.shift.dtype).removeprefix("torch."),
        "output_dtype": "float64" if has_wide_targets(inputs) else "float32",
        "parameters": net.architecture().num_params(),
        "standardisation": "inside: (x - shift) / scale",
    }


@torch.no_grad()
def measure(
    program: Callable[[Tensor], Tensor], part: Examples, raw: RawData
) -> Measured:
    """Measure a program on examples with raw features, in the units of the run.

    Args:
        program: From features as the data set has them to outputs.
        part: The examples.
        raw: The data set, for its task and its units.
    """
    total, right = 0.0, 0
    for x, y in zip(part.x.split(CHUNK), part.y.split(CHUNK), strict=True):
        outputs = standardised(raw, program(in_own_units(x, raw.encoding)))
        total += loss(outputs, y, raw.task).item() * len(x)
        if raw.task == "classification":
            right += int((outputs.argmax(1) == y).sum())
    known = raw.task == "classification"
    return Measured(
        loss=total / len(part), accuracy=right / len(part) if known else None
    )


def _save_program(model: Portable, num_inputs: int, path: Path) -> None:
    program = torch.export.export(
        model,
        (torch.zeros(3, num_inputs, dtype=model.shift.dtype),),
        dynamic_shapes={"x": {0: torch.export.Dim("batch")}},
    )
    torch.export.save(program, path)


def _compare(record: RunRecord, measured: Measured) -> None:
    recorded = record.test_loss
    if recorded is None:
        return
    if abs(measured.loss - recorded) > TOLERANCE * max(abs(recorded), 1.0):
        raise DataError(
            f"the exported program has a test loss of {significant(measured.loss, 6)}, but "
            f"{record.run_id} was recorded with {significant(recorded, 6)}: the data set has changed"
        )

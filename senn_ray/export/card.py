"""The model card: what a network is, how good, and how to use it without senn-ray."""

from collections.abc import Mapping
from typing import Any

from senn_ray.config import REACHES_IDENTITY
from senn_ray.core.numbers import significant
from senn_ray.core.records import RunRecord

CARD = """# {dataset}: a network of {hidden} hidden units, {origin}

| | |
|---|---|
| data | {dataset}, {per_class} training examples per class, {n_train} in all |
| network | {num_inputs} inputs, {hidden} hidden ({activation}), {num_outputs} outputs |
| parameters | {params} |
{size}| run | {run_id}, seed {seed}, growth ended: {stop_reason} |
| cost | {steps} steps, {device_s:.1f} device-seconds |
| training loss | {train_loss} |
| validation loss | {val_loss} (accuracy {val_accuracy}) |
| test loss | {test_loss} (accuracy {test_accuracy}) |

Losses are {unit}. The validation loss is the least one at this size, the cost that of
the run until it had it. The test values {checked}.

**Input**: {input} `[batch, {num_inputs}]`, any batch size; **raw** features as the data
set has them ({dtype}, shape {shape}, flattened): the standardisation is inside.
**Output**: {output} `[batch, {num_outputs}]`, {outputs}.

## Use it

```python
import torch

model = torch.export.load("model.pt2").module()
x = torch.zeros(5, {num_inputs}, dtype=torch.{input})  # raw features
print(model(x){use})
```

{table}{weights}## Limits

It knows only examples like those of {dataset}. Nothing was done about fairness, drift
or adversarial inputs. The size was chosen on validation examples of this data.
"""


TABLE = """With rows of a table, such as a CSV file of the columns that it was trained on
(`senn-ray predict` does the same):

```python
import csv, datetime, json, torch

spec = json.load(open("inputs.json"))
model = torch.export.load("model.pt2").module()

def inputs(row):
    for c in spec["columns"]:
        text, known = row[c["name"]].strip(), row[c["name"]].strip() not in spec["missing"]
        if c["kind"] == "category":
            hot = [float((text if known else "") == level) for level in c["levels"]]
            yield from hot + [1 - sum(hot)] * c.get("rest", False)
            continue
VALUE
        yield from [value] + [float(not known)] * c.get("indicator", False)

def predict(path):
    rows = [list(inputs(row)) for row in csv.DictReader(open(path, newline=""))]
    outputs = model(torch.tensor(rows, dtype=torch.DTYPE))
    return ANSWER
```

"""
READ = [
    '        read = {"number": float, "truth": lambda t: t.lower() in ("true", "1"), "time":',
    "            lambda t: datetime.datetime.fromisoformat(t).replace(",
    "                tzinfo=datetime.timezone.utc).timestamp()}",
]
INTERPOLATED = """\
        if "points" in c:
            import numpy
            value = float(numpy.interp(value, c["points"], c["scores"]))"""
CLASSES = (
    '[(spec["labels"]["classes"][p.argmax()], p.tolist()) for p in outputs.softmax(1)]'
)
TARGETS = "outputs.tolist()"

DENSE = """Without `torch.export`, from the weights:

```python
import json, torch

spec = json.load(open("architecture.json"))
state = torch.load("weights.pt", weights_only=True)
activation = getattr(torch.nn.functional, spec["activation"])

def model(x):
    a = ((x.to(state["shift"]) - state["shift"]) / state["scale"]).float()
    for i in range(len(spec["hidden"]) + 1):
        a = activation(a) if i else a
        a = a @ state[f"layers.{i}.weight"].T + state[f"layers.{i}.bias"]
    return a
```

"""

CONV = """Without `torch.export`, from the weights:

```python
import json, torch
import torch.nn.functional as F

spec = json.load(open("architecture.json"))
state = torch.load("weights.pt", weights_only=True)

def conv(name, a):
    W, bias = state[f"layers.{name}.weight"], state[f"layers.{name}.bias"]
    return F.conv2d(a, W, bias, padding=W.shape[-1] // 2)

def model(x):
    a = ((x.to(state["shift"]) - state["shift"]) / state["scale"]).float()
    a = a.view(-1, *spec["image"])
    a = conv("stem", F.pixel_unshuffle(a, spec["patch"]))
    for s, blocks in enumerate(spec["blocks"]):
        a = conv(f"into{s}", F.avg_pool2d(a, 2)) if s else a
        for b in range(len(blocks)):
            hidden = getattr(F, spec["activation"])(conv(f"in{s}_{b}", a))
            a = a + conv(f"out{s}_{b}", hidden)
    return a.mean((2, 3)) @ state["layers.head.weight"].T + state["layers.head.bias"]
```

"""

WIDE = """Its outputs are standardised; the targets in their own units, which float32 is
too coarse for, are `model(x) * state["target_scale"] + state["target_shift"]`.

"""

MEASURED = (
    "were measured again on `model.pt2` when it was written, and agree with the run"
)
NEW = (
    "were measured on `model.pt2` when it was written; the run itself reads test data for "
    "its best and its found size only"
)
UNMEASURED = (
    "are those of the run: the data set was out of reach when `model.pt2` was written, "
    "so they were not measured again"
)


def model_card(
    record: RunRecord,
    facts: Mapping[str, Any],
    measured: tuple[float, float | None] | None,
    described: Mapping[str, Any],
    chosen_by: str | None = None,
) -> str:
    """Write the card of an exported network.

    Args:
        record: The run.
        facts: The contents of ``architecture.json``.
        measured: Test loss and accuracy (of a classification) of the exported program;
            or nothing, if the data set was out of reach.
        described: The contents of ``inputs.json``.
        chosen_by: The rule that chose the size, in words.
    """
    test_loss, test_accuracy = measured or (record.test_loss, record.test_accuracy)
    checked = MEASURED if record.test_loss is not None else NEW
    classes = facts["task"] == "classification"
    return CARD.format(
        dataset=record.dataset,
        per_class=record.per_class,
        n_train=record.n_train,
        hidden=_widths(record.hidden),
        origin=_origin(record),
        size=_size(record, chosen_by),
        activation=facts["activation"],
        num_inputs=facts["num_inputs"],
        num_outputs=facts["num_outputs"],
        dtype=facts["feature_dtype"],
        shape=facts["feature_shape"],
        input=facts["input_dtype"],
        output=facts["output_dtype"],
        params=record.params,
        run_id=record.run_id,
        seed=record.seed,
        stop_reason=record.stop_reason,
        steps=record.cost.steps,
        device_s=record.cost.device_s,
        train_loss=_number(record.train_loss),
        val_loss=_number(record.val_loss),
        val_accuracy=_share(record.val_accuracy),
        test_loss=_number(test_loss),
        test_accuracy=_share(test_accuracy),
        checked=checked if measured else UNMEASURED,
        table=_from_table(described, facts),
        weights=_from_weights(facts),
        unit="cross-entropies in nats"
        if classes
        else "halves of mean squared errors, in "
        "variances of the targets (1/2: no better than their mean)",
        outputs="logits; softmax gives probabilities"
        if classes
        else "the targets, in their own units",
        use=".argmax(1)" if classes else "",
    )


def _from_table(described: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Show how rows of a table are predicted, where a line of text can hold one."""
    kinds = {column["kind"] for column in described["columns"]}
    labels = described["labels"]
    if labels is None:
        return ""
    names = ", ".join(map(str, labels["classes"][:20] or labels["columns"]))
    told = f"The outputs are, in this order: {names}.\n\n"
    if kinds & {"list", "image"}:
        return told
    lines = ['        value = float(text) if known else c.get("fill", 0.0)']
    if kinds & {"truth", "time"}:
        lines = [
            *READ,
            '        value = read[c["kind"]](text) if known else c.get("fill", 0.0)',
        ]
    if any("points" in column for column in described["columns"]):
        lines.append(INTERPOLATED)
    classes = facts["task"] == "classification"
    table = TABLE.replace("VALUE", "\n".join(lines)).replace(
        "DTYPE", facts["input_dtype"]
    )
    return told + table.replace("ANSWER", CLASSES if classes else TARGETS)


def _from_weights(facts: Mapping[str, Any]) -> str:
    """Show how to do without the program, where torch has the nonlinearity."""
    if facts["activation"] in REACHES_IDENTITY:
        return ""
    text = CONV if facts["kind"] == "conv" else DENSE
    return text + WIDE if facts["output_dtype"] == "float64" else text


def _origin(record: RunRecord) -> str:
    """Say how the network came to its size."""
    grown = f"grown from {_widths(record.hidden_start)}"
    top = record.front[0].hidden if record.front else record.hidden
    return grown if top == record.hidden else f"{grown} to {_widths(top)}, then pruned"


def _size(record: RunRecord, chosen_by: str | None) -> str:
    """Tell the rung, the rule that chose it, and what it costs in loss; as a row."""
    place = record.found
    if place is None or len(record.front) < 2:
        return ""
    rung, rule = record.front[place], f", chosen by: {chosen_by}" if chosen_by else ""
    gap = (
        "the best of the run"
        if not rung.gap and not rung.gap_se
        else f"validation loss {significant(rung.gap, 3)} ± {significant(rung.gap_se, 2)} "
        "above the best of the run (± standard error, example by example)"
    )
    return f"| size | rung {place + 1} of {len(record.front)}{rule}; {gap} |\n"


def _widths(hidden: tuple[int, ...]) -> str:
    return "-".join(map(str, hidden))


def _number(value: float | None) -> str:
    return "not measured" if value is None else significant(value, 6)


def _share(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2%}"

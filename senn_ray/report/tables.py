"""Tables: Arrow and Parquet, rebuilt from the journal.

Units are in the metadata of each field, the schema version in that of the table. Costs
are those of the whole run. Columns are only ever added, at the end.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from senn_ray.analysis.results import CompareSummary, Interval, ScanSummary, Summary
from senn_ray.core.errors import DataError
from senn_ray.core.events import Event, outcomes
from senn_ray.core.files import replacing
from senn_ray.core.fronts import best
from senn_ray.core.records import RunRecord, order_of
from senn_ray.search.targets import Currency, TargetName

SCHEMA_VERSION = "1"
FOLDER = "tables"
Rows = list[dict[str, Any]]
LOSS = "nats, or half squared errors in variances of the targets"

TEXT, WHOLE, REAL, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
WIDTHS = pa.list_(pa.int32())

# name: (type, unit); the order is the order of the columns.
RUNS = {
    "run_id": (TEXT, ""),
    "arm": (TEXT, ""),
    "kind": (TEXT, "grow or fixed"),
    "study": (WHOLE, "of arms that search several times"),
    "trial": (WHOLE, ""),
    "width": (WHOLE, "units, of runs that are asked for by it"),
    "state": (TEXT, "complete, pruned, diverged or failed"),
    "stop_reason": (TEXT, ""),
    "dataset": (TEXT, ""),
    "per_class": (TEXT, "training examples per class, or all"),
    "seed": (WHOLE, ""),
    "workers": (WHOLE, "replicas"),
    "hidden_start": (WIDTHS, "units"),
    "hidden": (WIDTHS, "units"),
    "params": (WHOLE, "parameters"),
    "n_train": (WHOLE, "examples"),
    "train_loss": (REAL, LOSS),
    "val_loss": (REAL, LOSS),
    "val_accuracy": (REAL, "share"),
    "test_loss": (REAL, LOSS),
    "test_accuracy": (REAL, "share"),
    "steps": (WHOLE, "optimiser steps"),
    "sample_visits": (WHOLE, "examples"),
    "flops": (REAL, "floating point operations"),
    "device_s": (REAL, "seconds x replicas"),
    "growth_s": (REAL, "seconds x replicas"),
    "wall_s": (REAL, "seconds"),
    "checks": (WHOLE, "growth checks"),
    "device_name": (TEXT, ""),
    "started_utc_s": (REAL, "seconds since 1970-01-01 UTC"),
    "checkpoint": (TEXT, "path"),
    "checksum": (TEXT, "SHA-256"),
    "error": (TEXT, ""),
    "lr": (REAL, ""),
    "weight_decay": (REAL, ""),
    "guess_val_loss": (REAL, LOSS),
    "wasted_device_s": (REAL, "seconds x replicas"),
    "val_balanced_accuracy": (REAL, "mean of the classes' shares"),
    "test_balanced_accuracy": (REAL, "mean of the classes' shares"),
}
STEPS = {
    "run_id": (TEXT, ""),
    "arm": (TEXT, ""),
    "eval_index": (WHOLE, ""),
    "step": (WHOLE, "optimiser steps"),
    "sample_visits": (WHOLE, "examples"),
    "device_s": (REAL, "seconds x replicas"),
    "train_loss": (REAL, LOSS),
    "val_loss": (REAL, LOSS),
    "val_accuracy": (REAL, "share"),
    "lr": (REAL, ""),
    "hidden": (WIDTHS, "units"),
    "params": (WHOLE, "parameters"),
    "current_score": (REAL, "twice the loss, nats"),
    "weight_decay": (REAL, ""),
}
EXPANSIONS = {
    "run_id": (TEXT, ""),
    "event_index": (WHOLE, ""),
    "step": (WHOLE, "optimiser steps"),
    "kind": (TEXT, "widen, insert_layer, prune, remove_layer or rejected"),
    "site": (WHOLE, "hidden layer, from the input"),
    "score_gain": (REAL, "twice the loss, nats"),
    "relative_gain": (REAL, "share of current_score"),
    "current_score": (REAL, "twice the loss, nats"),
    "heldout_gain": (REAL, "twice the loss, nats"),
    "heldout_z": (REAL, "standard errors"),
    "removal_cost": (REAL, "nats"),
    "hidden_before": (WIDTHS, "units"),
    "hidden_after": (WIDTHS, "units"),
    "loss_before": (REAL, LOSS),
    "loss_after": (REAL, LOSS),
}
FRONTS = {
    "run_id": (TEXT, ""),
    "arm": (TEXT, ""),
    "rung": (WHOLE, "from the largest network"),
    "found": (FLAG, "the size that the run found"),
    "best": (FLAG, "least validation loss of the run"),
    "hidden": (WIDTHS, "units"),
    "params": (WHOLE, "parameters"),
    "flops": (WHOLE, "floating point operations of one example's forward pass"),
    "val_loss": (REAL, LOSS),
    "val_accuracy": (REAL, "share"),
    "gap": (REAL, f"{LOSS}: above the best rung, mean over validation examples"),
    "gap_se": (REAL, f"{LOSS}: standard error of the gap"),
    "steps": (WHOLE, "optimiser steps of the run, up to its end"),
    "sample_visits": (WHOLE, "examples, likewise"),
    "flops_spent": (REAL, "floating point operations, likewise"),
    "device_s": (REAL, "seconds x replicas, likewise"),
    "test_loss": (REAL, LOSS),
    "test_accuracy": (REAL, "share"),
    "checkpoint": (TEXT, "path"),
    "checksum": (TEXT, "SHA-256"),
}
MATCHES = {
    "target": (TEXT, "quality or quality_at_size"),
    "arm": (TEXT, ""),
    "currency": (TEXT, ""),
    "val_loss": (REAL, f"{LOSS}: the target"),
    "max_params": (WHOLE, "parameters: the target"),
    "runs": (WHOLE, "runs"),
    "searches": (WHOLE, "searches"),
    "hits": (WHOLE, "searches"),
    "censored": (WHOLE, "searches"),
    "spent": (REAL, "the currency"),
    "cost_to_hit": (REAL, "the currency"),
    "cost_to_hit_low": (REAL, "the currency, 95 %"),
    "cost_to_hit_high": (REAL, "the currency, 95 %"),
    "exchange_rate": (REAL, "ratio"),
    "exchange_rate_low": (REAL, "ratio, 95 %"),
    "exchange_rate_high": (REAL, "ratio, 95 %"),
    "chance_above_one": (REAL, "share of draws"),
    "restarts_saved": (REAL, "runs"),
    "restarts_saved_low": (REAL, "runs, 95 %"),
    "restarts_saved_high": (REAL, "runs, 95 %"),
    "bound": (FLAG, "only the low ends of rate and saved mean anything"),
}
SIZES = {
    "hidden": (WHOLE, "units"),
    "params": (WHOLE, "parameters"),
    "seeds": (WHOLE, "runs"),
    "val_mean": (REAL, LOSS),
    "val_low": (REAL, f"{LOSS}, 95 %"),
    "val_high": (REAL, f"{LOSS}, 95 %"),
    "noninferior": (FLAG, "to the target, with the margin compare.epsilon"),
}
LEDGER = {
    "arm": (TEXT, "or total"),
    "runs": (WHOLE, "runs"),
    "steps": (WHOLE, "optimiser steps"),
    "sample_visits": (WHOLE, "examples"),
    "flops": (REAL, "floating point operations"),
    "device_s": (REAL, "seconds x replicas"),
    "growth_s": (REAL, "seconds x replicas"),
    "wall_s": (REAL, "seconds, runs one after the other"),
    "complete": (WHOLE, "runs"),
    "pruned": (WHOLE, "runs"),
    "diverged": (WHOLE, "runs"),
    "failed": (WHOLE, "runs"),
    "retries": (WHOLE, "attempts"),
    "wasted_device_s": (REAL, "seconds x replicas"),
    "interruptions": (WHOLE, "replicas lost"),
}
SCAN = {
    "per_class": (TEXT, "training examples per class, or all"),
    "subset_seed": (WHOLE, ""),
    "seed": (WHOLE, ""),
    "run_id": (TEXT, ""),
    "n_train": (WHOLE, "examples"),
    "examples_per_class": (REAL, "examples, mean over the classes"),
    "hidden": (WIDTHS, "units"),
    "hidden_total": (WHOLE, "units"),
    "params": (WHOLE, "parameters"),
    "val_loss": (REAL, LOSS),
    "test_accuracy": (REAL, "share"),
    "run_state": (TEXT, "complete, pruned, diverged or failed"),
    "stop_reason": (TEXT, ""),
    "converged": (FLAG, ""),
    "steps": (WHOLE, "optimiser steps"),
    "wall_s": (REAL, "seconds"),
    "device_s": (REAL, "seconds x replicas"),
}
SCHEMAS = {
    "runs": RUNS,
    "steps": STEPS,
    "expansions": EXPANSIONS,
    "fronts": FRONTS,
    "matches": MATCHES,
    "sizes": SIZES,
    "scan": SCAN,
    "ledger": LEDGER,
}


def build(events: Sequence[Event], summary: Summary) -> dict[str, pa.Table]:
    """Build all tables of a job.

    Args:
        events: What ``journal.read`` gave.
        summary: The summary of the same job.
    """
    records = sorted(outcomes(events), key=order_of)
    rows: dict[str, Rows] = {
        "runs": [_run(record) for record in records],
        "steps": [row for record in records for row in _steps(record)],
        "expansions": [row for record in records for row in _expansions(record)],
        "fronts": [row for record in records for row in _rungs(record)],
        "matches": [],
        "sizes": [],
        "ledger": [{"arm": arm, **_fields(r)} for arm, r in summary.ledger.items()],
        "scan": [],
    }
    if isinstance(summary, CompareSummary):
        rows["matches"] = _matches(summary)
        rows["sizes"] = [_fields(row) for row in summary.sizes]
    if isinstance(summary, ScanSummary):
        rows["scan"] = [
            {**_fields(cell), "per_class": str(cell.per_class)}
            for cell in summary.cells
        ]
    return {name: _table(name, rows[name]) for name in SCHEMAS}


def write(folder: Path, events: Sequence[Event], summary: Summary) -> None:
    """Write all tables of a job as Parquet, each file in one step.

    Args:
        folder: The run folder.
        events: What ``journal.read`` gave.
        summary: The summary of the same job.
    """
    target = folder / FOLDER
    target.mkdir(exist_ok=True)
    for name, table in build(events, summary).items():
        with replacing(target / f"{name}.parquet") as partial:
            pq.write_table(table, partial, compression="zstd")


def read(folder: Path, name: str) -> pa.Table:
    """Read a table.

    Args:
        folder: The run folder.
        name: runs, steps, expansions, fronts, matches, sizes, scan or ledger.

    Raises:
        DataError: if there is no such table.
    """
    path = folder / FOLDER / f"{name}.parquet"
    if not path.is_file():
        raise DataError(f"{path} is missing; type: senn-ray report {folder}")
    return pq.read_table(path)


def schema(name: str) -> pa.Schema:
    """Return the schema of a table, with units and version."""
    fields = [
        pa.field(column, kind, metadata={"unit": unit} if unit else None)
        for column, (kind, unit) in SCHEMAS[name].items()
    ]
    return pa.schema(fields, metadata={"schema_version": SCHEMA_VERSION, "table": name})


def _table(name: str, rows: Rows) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema(name))


def _run(record: RunRecord) -> dict[str, Any]:
    values = {**_fields(record.cost), **_fields(record)}
    return {**values, "per_class": str(record.per_class)}


def _steps(record: RunRecord) -> Rows:
    return [
        {"run_id": record.run_id, "arm": record.arm, "eval_index": n, **_fields(moment)}
        for n, moment in enumerate(record.evaluations)
    ]


def _expansions(record: RunRecord) -> Rows:
    return [
        {"run_id": record.run_id, "event_index": n, **_fields(expansion)}
        for n, expansion in enumerate(record.expansions)
    ]


def _rungs(record: RunRecord) -> Rows:
    least = best(record.front) if record.front else None
    return [
        {
            "run_id": record.run_id,
            "arm": record.arm,
            "rung": n,
            "found": n == record.found,
            "best": n == least,
            **_fields(rung),
        }
        for n, rung in enumerate(record.front)
    ]


def _fields(record: Any) -> dict[str, Any]:
    """Return the fields of a record, nested records left as they are."""
    return {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}


def _matches(summary: CompareSummary) -> Rows:
    return [
        _match(summary, target, arm, currency)
        for target, arms in summary.arms.items()
        for arm in arms
        for currency in summary.currencies
    ]


def _match(
    summary: CompareSummary, target: TargetName, arm: str, currency: Currency
) -> dict[str, Any]:
    row = summary.arms[target][arm]
    rate = summary.exchange_rate[target].get(arm, {}).get(currency)
    return {
        "target": target,
        "arm": arm,
        "currency": currency,
        **_fields(summary.targets[target]),
        **{n: getattr(row, n) for n in ("runs", "searches", "hits", "censored")},
        "spent": row.cost[currency],
        **_ends("cost_to_hit", row.cost_to_hit.get(currency)),
        **_ends("exchange_rate", rate),
        "chance_above_one": rate and rate.chance_above_one,
        **_ends("restarts_saved", summary.restarts_saved[target].get(arm)),
        "bound": rate and rate.bound,
    }


def _ends(name: str, interval: Interval | None) -> dict[str, Any]:
    return {
        name: interval and interval.estimate,
        f"{name}_low": interval and interval.low,
        f"{name}_high": interval and interval.high,
    }

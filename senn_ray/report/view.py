"""What the page says, as plain rows of text: no markup, no figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from senn_ray.core.records import FAULTY, RunRecord
from senn_ray.report.formatting import (
    UNKNOWN,
    duration,
    form,
    interval,
    number,
    oracle,
    share,
    trend,
    widths,
)
from senn_ray.report.table import Table
from senn_ray.report.target_tables import retrained_table, target_tables

Summary = Mapping[str, Any]
REGRESSION = (
    " Losses are halves of squared errors in variances of the targets: a half for each "
    "target is no better than their mean."
)
SIZES = {
    "senn": "self-found",
    "plain_at_senn_size": "plain, of the self-found width",
    "best_fixed": "best fixed",
    "smallest_sufficient": "smallest sufficient",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A job, where several are shown."""

    name: str
    summary: Mapping[str, Any]


def headline(summary: Summary) -> list[str]:
    """Say what came out, in a few sentences.

    Args:
        summary: Contents of ``summary.json``.
    """
    if summary["verb"] == "scan":
        return _scanned(summary)
    if summary["verb"] != "compare":
        return [_found(summary)]
    said = [summary["verdict"]] if summary.get("verdict") else []
    said += [f"No verdict: {why}." for why in summary.get("withheld") or ()]
    size = (summary.get("size") or {}).get("senn")
    if size:
        said.append(f"Self-found size: {interval(size)} hidden units (median [range]).")
    return said


def verdict_tables(summary: Summary) -> list[Table]:
    """Lay out who reached which target, and at what price; or the sizes of a scan.

    Args:
        summary: Contents of ``summary.json``; ``grow`` has no such tables.
    """
    if summary["verb"] == "scan":
        return [_scan_table(summary)] if summary["by_size"] else []
    tables = target_tables(summary)
    sizes = {k: v for k, v in (summary.get("size") or {}).items() if v}
    again = retrained_table(summary.get("retrained") or [])
    tables += [_size_table(sizes)] if sizes else []
    return [*tables, again] if again.rows else tables


def runs_table(records: Sequence[RunRecord]) -> Table:
    """Lay out every run.

    Args:
        records: All runs.
    """
    return Table(
        title="All runs",
        columns=(
            "run",
            "hidden",
            "parameters",
            "validation loss",
            "validation accuracy",
            "test accuracy",
            "steps",
            "sample visits",
            "device time",
            "growth time",
            "ended",
        ),
        rows=tuple(_run_row(record) for record in records),
    )


def facts(
    summary: Summary,
    records: Sequence[RunRecord],
    *,
    where: str,
    protocol: Mapping[str, Any],
    manifest: Mapping[str, Any],
) -> list[tuple[str, str]]:
    """List how the numbers came about: protocol, versions, hardware.

    Args:
        summary: Contents of ``summary.json``.
        records: All runs.
        where: Where runs were carried out.
        protocol: Contents of ``protocol.json``; may be empty.
        manifest: Contents of ``manifest.json``; may be empty.
    """
    versions = protocol.get("versions") or manifest.get("versions") or {}
    data = protocol.get("data") or {}
    rules = protocol.get("rules") or {}
    pairs = {
        "data set": summary["dataset"],
        "examples per class": _listed(summary.get("per_class", UNKNOWN)),
        "root seed": str(summary["seed"]),
        "carried out on": where,
        "devices": ", ".join(sorted({r.device_name for r in records if r.device_name})),
        "machine": " ".join(str(manifest.get(k, "")) for k in ("host", "platform")),
        "versions": ", ".join(f"{name} {text}" for name, text in versions.items()),
        "protocol": str(protocol.get("protocol_id", "")),
        "SHA-256 of the data": str(data.get("sha256", "")),
        **{f"rule: {name}".replace("_", " "): text for name, text in rules.items()},
    }
    return [(name, text) for name, text in pairs.items() if text.strip()]


def _found(summary: Summary) -> str:
    runs = summary.get("runs") or []
    good = [run for run in runs if run.get("run_state") == "complete"]
    if not good:
        return f"No run of {len(runs)} was completed."
    accuracy, loss = summary.get("test_accuracy"), summary.get("test_loss")
    right = "" if accuracy is None else f"accuracy {share(accuracy)}, test "
    many = f" (medians of {len(good)} runs)" if len(good) > 1 else ""
    return (
        f"From {widths(summary.get('hidden_start'))} to {widths(summary.get('hidden'))} "
        f"hidden units{many}: validation loss {number(summary.get('val_loss'))}, test "
        f"{right}loss {number(loss)}. Growth ended: {summary.get('stop_reason')}."
        f"{'' if right or loss is None else REGRESSION}"
    )


def _scanned(summary: Summary) -> list[str]:
    rows = [row for row in summary["by_size"] if row["hidden_median"] is not None]
    if not rows:
        return [f"None of {len(summary['cells'])} finished runs has converged."]
    first, last = rows[0], rows[-1]
    return [
        f"With {first['per_class']} training examples per class, networks grow to "
        f"{first['hidden_median']:g} hidden units; with {last['per_class']}, to "
        f"{last['hidden_median']:g} (medians).",
        trend(summary["fit"]),
        *filter(None, [form(summary["fit"])]),
        *map(oracle, summary["oracle"]),
    ]


def _scan_table(summary: Summary) -> Table:
    ended: dict[Any, list[str]] = {}
    for cell in summary["cells"]:
        mark = "" if cell["converged"] else "*"
        ended.setdefault(cell["per_class"], []).append(f"{cell['hidden_total']}{mark}")
    return Table(
        title="Hidden units by training examples per class",
        columns=(
            "examples per class",
            "hidden units",
            "median",
            "max / min",
            "converged",
            "validation loss",
            "test accuracy",
        ),
        rows=tuple(
            (
                str(row["per_class"]),
                " ".join(ended[row["per_class"]]),
                widths(row["hidden_median"]),
                number(row["spread"]),
                f"{row['converged']} of {row['runs']}",
                number(row["val_loss"]),
                share(row["test_accuracy"]),
            )
            for row in summary["by_size"]
        ),
    )


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _size_table(sizes: Summary) -> Table:
    return Table(
        title="Sizes",
        columns=(
            "network",
            "hidden units",
            "parameters",
            "runs",
            "validation loss",
            "test loss",
            "test accuracy",
        ),
        rows=tuple(
            (
                SIZES.get(name, name),
                interval(size),
                str(size["params"]),
                str(size["seeds"]),
                number(size["val_loss"]),
                number(size["test_loss"]),
                share(size["test_accuracy"]),
            )
            for name, size in sizes.items()
        ),
    )


def _run_row(record: RunRecord) -> tuple[str, ...]:
    start, end = widths(record.hidden_start), widths(record.hidden)
    ended = record.stop_reason
    if record.state in FAULTY:
        ended = f"{record.state}: {record.error or 'counted as a miss'}"
    return (
        record.run_id,
        end if start == end else f"{start} → {end}",
        str(record.params),
        number(record.val_loss),
        share(record.val_accuracy),
        share(record.test_accuracy),
        str(record.cost.steps),
        str(record.cost.sample_visits),
        duration(record.cost.device_s),
        duration(record.cost.growth_s) if record.kind == "grow" else UNKNOWN,
        ended,
    )

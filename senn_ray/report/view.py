"""What the page says, as plain rows of text: no markup, no figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from senn_ray.analysis.results import (
    CompareSummary,
    GrowSummary,
    ScanSummary,
    SizeBlock,
    Summary,
)
from senn_ray.core.records import FAULTY, RunRecord
from senn_ray.report.formatting import (
    UNKNOWN,
    duration,
    interval,
    number,
    share,
    widths,
)
from senn_ray.report.front_tables import front_tables
from senn_ray.report.fronts import middle, rungs_table
from senn_ray.report.table import Table
from senn_ray.report.target_tables import retrained_table, target_tables

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
    summary: Summary


def verdict_tables(summary: Summary) -> list[Table]:
    """Lay out what the answer rests on; console and page show the same tables.

    The front and the seeds of ``grow``, the sizes of a scan; of a comparison the arms that reached
    each target and the price, the sizes, and the winners trained again.
    """
    match summary:
        case GrowSummary():
            several = len(summary.runs) > 1
            tables = [_seed_table(summary)]
            if (run := middle(summary.runs)) is not None:
                tables.insert(0, rungs_table(run, several=several))
        case ScanSummary():
            tables = [_scan_table(summary)]
        case CompareSummary():
            tables = [
                *target_tables(summary),
                *front_tables(summary.fronts),
                _size_table(summary.size),
                retrained_table(summary.retrained),
            ]
    return [table for table in tables if table.rows]


def runs_table(records: Sequence[RunRecord]) -> Table:
    """Lay out every run."""
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
        summary: The summary.
        records: All runs.
        where: Where runs were carried out.
        protocol: Contents of ``protocol.json``; may be empty.
        manifest: Contents of ``manifest.json``; may be empty.
    """
    versions = protocol.get("versions") or manifest.get("versions") or {}
    data = protocol.get("data") or {}
    rules = protocol.get("rules") or {}
    pairs = {
        "data set": summary.dataset,
        "examples per class": _listed(summary.per_class),
        "root seed": str(summary.seed),
        "carried out on": where,
        "devices": ", ".join(sorted({r.device_name for r in records if r.device_name})),
        "machine": " ".join(str(manifest.get(k, "")) for k in ("host", "platform")),
        "versions": ", ".join(f"{name} {text}" for name, text in versions.items()),
        "protocol": str(protocol.get("protocol_id", "")),
        "SHA-256 of the data": str(data.get("sha256", "")),
        **{f"rule: {name}".replace("_", " "): text for name, text in rules.items()},
    }
    return [(name, text) for name, text in pairs.items() if text.strip()]


def _seed_table(summary: GrowSummary) -> Table:
    rows = []
    for run in summary.runs:
        start = run.hidden_start
        ended = run.stop_reason or UNKNOWN
        if run.run_state != "complete":
            ended = f"{run.run_state}: {run.error or 'counted'}"
        rows.append((
            str(run.seed),
            f"{start if start == 'mixed' else widths(start)} → {widths(run.hidden)}",
            str(run.params),
            number(run.val_loss),
            share(run.test_accuracy),
            number(run.test_loss),
            str(run.steps),
            duration(run.wall_s),
            ended,
        ))
    columns = (
        "seed", "hidden units", "parameters", "validation loss", "test accuracy",
        "test loss", "steps", "time", "ended",
    )  # fmt: skip
    return Table(title="Seeds", columns=columns, rows=tuple(rows))


def _scan_table(summary: ScanSummary) -> Table:
    ended: dict[Any, list[str]] = {}
    for cell in summary.cells:
        mark = "" if cell.converged else "*"
        ended.setdefault(cell.per_class, []).append(f"{cell.hidden_total}{mark}")
    return Table(
        title="Hidden units by training examples per class",
        columns=(
            "examples per class",
            "hidden units",
            "median",
            "least loss at",
            "max / min",
            "converged",
            "validation loss",
            "test accuracy",
        ),
        rows=tuple(
            (
                str(row.per_class),
                " ".join(ended[row.per_class]),
                widths(row.hidden_median),
                widths(row.best_hidden_median),
                number(row.spread),
                f"{row.converged} of {row.runs}",
                number(row.val_loss),
                share(row.test_accuracy),
            )
            for row in summary.by_size
        ),
    )


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _size_table(sizes: SizeBlock) -> Table:
    known = {text: getattr(sizes, name) for name, text in SIZES.items()}
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
                name,
                interval(size),
                str(size.params),
                str(size.seeds),
                number(size.val_loss),
                number(size.test_loss),
                share(size.test_accuracy),
            )
            for name, size in known.items()
            if size
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

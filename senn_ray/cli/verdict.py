"""The result on the console: a table of runs, of the verdict, or of sizes.

Reads the contents of ``summary.json`` only, so ``report RUN`` shows the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from senn_ray.report.formatting import (
    UNKNOWN,
    duration,
    form,
    interval,
    number,
    oracle,
    pairs,
    precise,
    share,
    spent,
    trend,
    widths,
)

Summary = Mapping[str, Any]
MOST_SHOWN = 10
CURRENCIES = {
    "runs": "runs x",
    "steps": "steps x",
    "sample_visits": "visits x",
    "flops": "FLOPs x",
    "device_s": "device-s x",
}
TARGETS = {
    "quality": "quality: validation loss at most {val_loss}",
    "quality_at_size": (
        "quality at size: validation loss at most {val_loss}, "
        "parameters at most {max_params}"
    ),
}


def result(summary: Summary) -> list[RenderableType]:
    """Show what came out of a job.

    Args:
        summary: Contents of ``summary.json`` of grow, compare or scan.
    """
    layouts = {"compare": _compare, "scan": _scan}
    parts = layouts.get(summary.get("verb", ""), _grow)(summary)
    cost = spent(summary.get("ledger") or {})
    return [*parts, Text(cost)] if cost else parts


def checks_table(checks: Iterable[tuple[str, bool, str]]) -> Table:
    """Show what ``doctor`` found.

    Args:
        checks: Name, whether it is well, and what was found.
    """
    table = _table("check", "", "found")
    for name, ok, detail in checks:
        table.add_row(name, "✓" if ok else "✗", Text(detail))
    return table


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(
        title=title, title_justify="left", box=None, pad_edge=False, title_style="bold"
    )
    for name in columns:
        # The first column names the row: it is never broken.
        table.add_column(name, overflow="fold", no_wrap=name == columns[0])
    return table


def _grow(summary: Summary) -> list[RenderableType]:
    runs: Sequence[Summary] = summary.get("runs") or [summary]
    table = _table(
        "seed", "hidden", "parameters", "val loss", "test accuracy", "test loss",
        "stopped", "steps", "time",
    )  # fmt: skip
    for run in runs[:MOST_SHOWN]:
        grown = f"{widths(run.get('hidden_start'))} → {widths(run.get('hidden'))}"
        table.add_row(
            str(run.get("seed", UNKNOWN)),
            grown,
            str(run.get("params", UNKNOWN)),
            number(run.get("val_loss")),
            share(run.get("test_accuracy")),
            number(run.get("test_loss")),
            str(run.get("stop_reason", UNKNOWN)),
            str(run.get("steps", UNKNOWN)),
            duration(run.get("wall_s")),
        )
    parts: list[RenderableType] = [table]
    if len(runs) > MOST_SHOWN:
        parts.append(f"… and {len(runs) - MOST_SHOWN} more in the report")
    failed = [run for run in runs if run.get("run_state", "complete") != "complete"]
    parts += [
        Text(f"Seed {run['seed']} {run['run_state']}: {run.get('error') or 'counted'}")
        for run in failed
    ]
    parts += [Text(f"Caveat: {caveat}") for caveat in summary.get("caveats") or ()]
    return parts


def _compare(summary: Summary) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for name in summary.get("targets") or {}:
        parts += [_target_line(summary, name), _target_table(summary, name), ""]
        if summary["exchange_rate"][name]:
            parts += [_rate_table(summary, name), ""]
    if again := summary.get("retrained"):
        parts += [_retrained_table(again), ""]
    parts.append(_size_line(summary.get("size") or {}))
    if summary.get("verdict"):
        parts.append(Text(f"Verdict: {summary['verdict']}", style="bold"))
    parts += [Text(f"No verdict: {why}") for why in summary.get("withheld") or ()]
    parts += [Text(f"Caveat: {caveat}") for caveat in summary.get("caveats") or ()]
    return parts


def _scan(summary: Summary) -> list[RenderableType]:
    table = _table(
        "per class", "hidden", "median", "max/min", "converged", "val loss",
        "test accuracy",
    )  # fmt: skip
    for row in summary.get("by_size") or ():
        table.add_row(
            str(row["per_class"]),
            " ".join(map(str, row["hidden"])),
            widths(row["hidden_median"]),
            number(row["spread"]),
            f"{row['converged']}/{row['runs']}",
            number(row["val_loss"]),
            share(row["test_accuracy"]),
        )
    parts: list[RenderableType] = [table, Text(trend(summary["fit"]), style="bold")]
    parts += [Text(said) for said in filter(None, [form(summary["fit"])])]
    parts += [Text(oracle(row)) for row in summary.get("oracle") or ()]
    parts += [Text(pairs(row)) for row in summary.get("paired_by_size") or ()]
    parts += [Text(f"Caveat: {caveat}") for caveat in summary.get("caveats") or ()]
    return parts


def _target_line(summary: Summary, name: str) -> Text:
    # A line of its own: as the title of a table it would be no wider than that.
    target = summary["targets"][name]
    values = {
        "val_loss": number(target["val_loss"]),
        "max_params": target["max_params"],
    }
    return Text(TARGETS[name].format(**values), style="bold")


def _target_table(summary: Summary, name: str) -> Table:
    table = _table("arm", "hits", "runs to a hit", "runs saved", "best val", "width")
    for arm, row in summary["arms"][name].items():
        table.add_row(
            arm,
            f"{row['hits']}/{row['searches']}",
            interval(row["cost_to_hit"].get("runs")),
            interval(summary["restarts_saved"][name].get(arm)),
            number(row["best_val_loss"]),
            widths(row["best_hidden"]),
        )
    return table


def _rate_table(summary: Summary, name: str) -> Table:
    """Show every currency of the exchange rate: one alone would be a choice."""
    table = _table(
        "arm", *CURRENCIES.values(), title="… for a hit, times what growing needs"
    )
    for arm, rate in summary["exchange_rate"][name].items():
        table.add_row(arm, *(interval(rate.get(currency)) for currency in CURRENCIES))
    return table


def _retrained_table(rows: Sequence[Summary]) -> Table:
    table = _table(
        "arm", "best for", "hidden", "runs", "test loss", "test accuracy",
        title="winners trained again, on test data",
    )  # fmt: skip
    for row in rows:
        table.add_row(
            row["arm"],
            (row["target"] or UNKNOWN).replace("_", " "),
            widths(row["hidden"]),
            str(row["seeds"]),
            precise(row["test_loss"]),
            precise(row["test_accuracy"], share=True),
        )
    return table


def _size_line(size: Summary) -> Text:
    senn, best, least = (
        interval(size.get(name))
        for name in ("senn", "best_fixed", "smallest_sufficient")
    )
    return Text(
        f"Size: self-found {senn} units; best fixed {best}; smallest sufficient {least}"
    )

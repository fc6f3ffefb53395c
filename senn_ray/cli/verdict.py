"""The result on the console: a table of runs, of the verdict, or of sizes."""

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from senn_ray.analysis.results import (
    CompareSummary,
    GrowSummary,
    Retrained,
    ScanSummary,
    SizeBlock,
    Summary,
)
from senn_ray.report.formatting import (
    TARGET_TITLES,
    TIMES,
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
from senn_ray.search.targets import TargetName

MOST_SHOWN = 10


def result(summary: Summary) -> list[RenderableType]:
    """Show what came out of a job."""
    match summary:
        case CompareSummary():
            parts = _compare(summary)
        case ScanSummary():
            parts = _scan(summary)
        case GrowSummary():
            parts = _grow(summary)
    parts += [Text(f"Caveat: {caveat.text}") for caveat in summary.caveats]
    cost = spent(summary.ledger["total"])
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


def _grow(summary: GrowSummary) -> list[RenderableType]:
    table = _table(
        "seed", "hidden", "parameters", "val loss", "test accuracy", "test loss",
        "stopped", "steps", "time",
    )  # fmt: skip
    for run in summary.runs[:MOST_SHOWN]:
        start = run.hidden_start
        grown = f"{start if start == 'mixed' else widths(start)} → {widths(run.hidden)}"
        table.add_row(
            str(run.seed),
            grown,
            str(run.params),
            number(run.val_loss),
            share(run.test_accuracy),
            number(run.test_loss),
            str(run.stop_reason),
            str(run.steps),
            duration(run.wall_s),
        )
    parts: list[RenderableType] = [table]
    if len(summary.runs) > MOST_SHOWN:
        parts.append(f"… and {len(summary.runs) - MOST_SHOWN} more in the report")
    parts += [
        Text(f"Seed {run.seed} {run.run_state}: {run.error or 'counted'}")
        for run in summary.runs
        if run.run_state != "complete"
    ]
    return parts


def _compare(summary: CompareSummary) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for name, target in summary.targets.items():
        values = {"val_loss": number(target.val_loss), "max_params": target.max_params}
        # A line of its own: as the title of a table it would be no wider than that.
        parts.append(Text(TARGET_TITLES[name].format(**values), style="bold"))
        parts += [_target_table(summary, name), ""]
        if summary.exchange_rate[name]:
            parts += [_rate_table(summary, name), ""]
    if summary.retrained:
        parts += [_retrained_table(summary.retrained), ""]
    parts.append(_size_line(summary.size))
    if summary.verdict:
        parts.append(Text(f"Verdict: {summary.verdict}", style="bold"))
    parts += [Text(f"No verdict: {why}") for why in summary.withheld]
    return parts


def _scan(summary: ScanSummary) -> list[RenderableType]:
    table = _table(
        "per class", "hidden", "median", "max/min", "converged", "val loss",
        "test accuracy",
    )  # fmt: skip
    for row in summary.by_size:
        table.add_row(
            str(row.per_class),
            " ".join(map(str, row.hidden)),
            widths(row.hidden_median),
            number(row.spread),
            f"{row.converged}/{row.runs}",
            number(row.val_loss),
            share(row.test_accuracy),
        )
    parts: list[RenderableType] = [table, Text(trend(summary.fit), style="bold")]
    parts += [Text(said) for said in filter(None, [form(summary.fit.forms)])]
    parts += [Text(oracle(row)) for row in summary.oracle]
    return [*parts, *(Text(pairs(row)) for row in summary.paired_by_size)]


def _target_table(summary: CompareSummary, name: TargetName) -> Table:
    table = _table("arm", "hits", "runs to a hit", "runs saved", "best val", "width")
    for arm, row in summary.arms[name].items():
        table.add_row(
            arm,
            f"{row.hits}/{row.searches}",
            interval(row.cost_to_hit.get("runs")),
            interval(summary.restarts_saved[name].get(arm)),
            number(row.best_val_loss),
            widths(row.best_hidden),
        )
    return table


def _rate_table(summary: CompareSummary, name: TargetName) -> Table:
    """Show every currency of the exchange rate: one alone would be a choice."""
    table = _table(
        "arm", *TIMES.values(), title="… for a hit, times what growing needs"
    )
    for arm, rate in summary.exchange_rate[name].items():
        table.add_row(arm, *(interval(rate[currency]) for currency in TIMES))
    return table


def _retrained_table(rows: Sequence[Retrained]) -> Table:
    table = _table(
        "arm", "best for", "hidden", "runs", "test loss", "test accuracy",
        title="winners trained again, on test data",
    )  # fmt: skip
    for row in rows:
        table.add_row(
            row.arm,
            (row.target or UNKNOWN).replace("_", " "),
            widths(row.hidden),
            str(row.seeds),
            precise(row.test_loss),
            precise(row.test_accuracy, share=True),
        )
    return table


def _size_line(size: SizeBlock) -> Text:
    return Text(
        f"Size: self-found {interval(size.senn)} units; best fixed "
        f"{interval(size.best_fixed)}; smallest sufficient "
        f"{interval(size.smallest_sufficient)}"
    )

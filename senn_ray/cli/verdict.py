"""The result on the console: the answer in words, its picture, and the tables behind it.

The same sentences and tables as on the page of the report.
"""

from collections.abc import Iterable

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from senn_ray.analysis.results import Summary
from senn_ray.cli.chart import picture
from senn_ray.cli.console import table
from senn_ray.report import table as report_table
from senn_ray.report.answer import answer, foremost
from senn_ray.report.formatting import spent
from senn_ray.report.view import verdict_tables

MOST_ROWS = 24


def result(summary: Summary) -> list[RenderableType]:
    """Show what came out of a job, the answer first."""
    parts: list[RenderableType] = ["", *(Text(line) for line in answer(summary)), ""]
    if drawn := picture(summary):
        parts.append(drawn)
    first, rest = foremost(summary.caveats)
    parts += [Text(f"Keep in mind: {caveat.text}") for caveat in first]
    if rest:
        parts.append(Text(f"Fine print: {len(rest)} more in the report"))
    for content in verdict_tables(summary):
        parts += ["", *_shown(content)]
    cost = spent(summary.ledger["total"])
    return [*parts, "", Text(cost)] if cost else parts


def checks_table(checks: Iterable[tuple[str, bool, str]]) -> Table:
    """Show what ``doctor`` found: name, whether it is well, and what was found."""
    rows = table("check", "", "found")
    for name, ok, detail in checks:
        rows.add_row(name, "✓" if ok else "✗", Text(detail))
    return rows


def _shown(content: report_table.Table) -> list[RenderableType]:
    """Show a table of the report, with its title in a line of its own."""
    # As the title of a table it would be no wider than that, and broken.
    parts: list[RenderableType] = [Text(content.title, style="bold")]
    rows = table(*content.columns)
    for row in content.rows[:MOST_ROWS]:
        rows.add_row(*map(Text, row))
    parts.append(rows)
    if left := len(content.rows) - MOST_ROWS:
        parts += [f"… and {left} more in the report"] if left > 0 else []
    return parts

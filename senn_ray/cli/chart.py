"""The picture of a result on the console: points on two axes, in characters."""

import math
from collections.abc import Mapping, Sequence

from rich.text import Text

from senn_ray.analysis.results import (
    CompareSummary,
    GrowSummary,
    ScanSummary,
    Summary,
)
from senn_ray.report.formatting import number, widths

WIDTH, HEIGHT = 64, 12
MARGIN = 10
LEAST_POINTS = 3
"""Fewer are told sooner in words."""
LOG_FROM = 4.0
"""An axis is logarithmic if its largest value is so many times its smallest one."""
GROWN, FIXED, RUNG, PRUNED = "●", "o", "○", "+"
COLOURS = {GROWN: "bold green", FIXED: "", RUNG: "", PRUNED: ""}
Points = Mapping[str, Sequence[tuple[float, float]]]
"""By mark."""


def picture(summary: Summary) -> Text | None:
    """Draw size against loss, or of a scan examples against size; or nothing."""
    match summary:
        case CompareSummary():
            size = summary.size.senn
            if size is None or size.val_loss is None:
                return None
            fixed = [(r.hidden, r.val_mean) for r in summary.sizes]
            points = {
                FIXED: [(float(x), y) for x, y in fixed if y is not None],
                PRUNED: _front(summary, "wide_prune"),
                GROWN: _front(summary, "senn") or [(size.estimate, size.val_loss)],
            }
            legend = f"{GROWN} growing  {FIXED} fixed sizes, means"
            if points[PRUNED]:
                legend += f"  {PRUNED} wide_prune"
            return chart(points, "validation loss", "hidden units", legend)
        case GrowSummary():
            rungs = [rung for run in summary.runs for rung in run.front]
            found = [(float(r.params or 0), r.val_loss) for r in summary.runs]
            points = {
                RUNG: [(float(r.params), r.val_loss) for r in rungs],
                GROWN: [(x, y) for x, y in found if y is not None],
            }
            words = "parameters", f"{GROWN} found size  {RUNG} other sizes of the front"
            return chart(points, "validation loss", *words)
        case ScanSummary():
            cells = [c for c in summary.cells if c.converged and c.examples_per_class]
            points = {
                GROWN: [(c.examples_per_class or 1.0, c.hidden_total) for c in cells]
            }
            words = "examples per class", f"{GROWN} a converged run"
            return chart(points, "hidden units", *words)


def _front(summary: CompareSummary, arm: str) -> list[tuple[float, float]]:
    """Return the median front of an arm."""
    points = summary.fronts.arms.get(arm, ()) if summary.fronts else ()
    return [(float(point.units), point.val_loss) for point in points]


def chart(points: Points, y_name: str, x_name: str, legend: str) -> Text | None:
    """Draw points in a box of characters, with the values that occur at the axes.

    Later marks hide earlier ones; too few points give nothing.
    """
    known = [point for series in points.values() for point in series]
    if len(set(known)) < LEAST_POINTS:
        return None
    columns = _places([x for x, _ in known], WIDTH)
    rows = _places([y for _, y in known], HEIGHT)
    box = [[" "] * WIDTH for _ in range(HEIGHT)]
    for mark, series in points.items():
        for x, y in series:
            box[HEIGHT - 1 - rows[y]][columns[x]] = mark
    text = Text(f"{y_name}\n")
    labels = {HEIGHT - 1 - row: y for y, row in sorted(rows.items(), reverse=True)}
    for row, cells in enumerate(box):
        label = number(labels[row]) if row in labels else ""
        text.append(f"{label:>{MARGIN}} {'┤' if label else '│'}")
        for cell in cells:
            text.append(cell, style=COLOURS.get(cell, ""))
        text.append("\n")
    text.append(f"{'':{MARGIN}} └{'─' * WIDTH}\n{'':{MARGIN}}  ")
    text.append(_ticks(columns) + f" {x_name}\n{'':{MARGIN}}  {legend}\n")
    return text


def _places(values: Sequence[float], size: int) -> dict[float, int]:
    """Give every value its column or row."""
    low, high = min(values), max(values)
    curve = math.log if low > 0 and high > LOG_FROM * low else float
    span = (curve(high) - curve(low)) or 1.0
    return {v: round((curve(v) - curve(low)) / span * (size - 1)) for v in values}


def _ticks(columns: Mapping[float, int]) -> str:
    """Write values below their columns, as many as fit side by side."""
    line = ""
    for value, column in sorted(columns.items()):
        text = widths(value)
        start = min(max(column - len(text) // 2, 0), WIDTH - len(text))
        if not line or start > len(line):
            line = f"{line:{start}}{text}"
    return f"{line:{WIDTH}}"

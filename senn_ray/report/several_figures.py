"""Figures of several jobs: their scans overlaid, their exchange rates side by side."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from senn_ray.analysis.results import CompareSummary, ScanSummary
from senn_ray.report.drawing import (
    ARMS,
    INK,
    Caption,
    Data,
    Figure,
    Layout,
    figure,
    legend_below,
    log_scale,
)
from senn_ray.report.view import Shown

LOOKS = [*dict(ARMS.values()).items()][:6]
"""Colours and shapes, one for each job; with more jobs they begin again."""
Rate = tuple[str, str, float, float, float | None]


def scans(jobs: Sequence[Shown]) -> Figure | None:
    """Draw the widths that scans found against examples per class, overlaid.

    Returns:
        The figure; nothing with fewer than two scans.
    """
    found = {j.name: s for j in jobs if isinstance(s := j.summary, ScanSummary)}
    rows = [
        (name, cell.per_class, cell.examples_per_class, cell.hidden_total,
         cell.converged)
        for name, scan in found.items()
        for cell in scan.cells
        if cell.examples_per_class
    ]  # fmt: skip
    if len({row[0] for row in rows}) < 2:
        return None
    text = (
        f"{len(rows)} self-expanding runs of {len(found)} scans, one point each, hollow "
        "where not converged; the lines join the medians of each size."
    )

    def draw(drawn: Canvas, panels: list[Axes]) -> None:
        for place, (name, scan) in enumerate(found.items()):
            _draw_scan(panels[0], name, scan, place)
        log_scale(panels[0], "x", [row[2] for row in rows])
        panels[0].set_xlabel("training examples per class")
        panels[0].set_ylabel("hidden units")
        panels[0].set_ylim(bottom=0)
        panels[0].yaxis.set_major_locator(MaxNLocator(integer=True))
        legend_below(drawn, panels, ncols=2)

    columns = ("job", "per_class", "examples_per_class", "hidden", "converged")
    title = "Hidden units against training examples per class"
    caption = Caption(name="scans", title=title, text=text)
    return figure(caption, Data(columns=columns, rows=rows), Layout(height_in=4), draw)


def rates(jobs: Sequence[Shown]) -> Figure | None:
    """Draw exchange rates in runs, for quality at size, with their intervals.

    Returns:
        The figure; nothing with fewer than two comparisons that have rates.
    """
    rows = [row for job in jobs for row in _rates(job)]
    if len({row[0] for row in rows}) < 2:
        return None
    text = (
        "How many times more runs than growing an arm needs to reach quality at size, "
        "with 95 % intervals. An arrow is a lower bound: the arm never got there. Right "
        "of 1 growing is cheaper."
    )
    arms = list(dict.fromkeys(row[1] for row in rows))

    def draw(drawn: Canvas, panels: list[Axes]) -> None:
        _draw_rates(panels[0], rows, arms)
        legend_below(drawn, panels, ncols=2)

    caption = Caption(name="rates", title="Exchange rates in runs", text=text)
    columns = ("job", "arm", "estimate_or_bound", "low", "high")
    layout = Layout(height_in=1.6 + 0.45 * len(arms))
    return figure(caption, Data(columns=columns, rows=rows), layout, draw)


def _rates(job: Shown) -> list[Rate]:
    if not isinstance(job.summary, CompareSummary):
        return []
    found = list[Rate]()
    for arm, rates in job.summary.exchange_rate["quality_at_size"].items():
        rate = rates["runs"]
        if rate.low and (rate.bound or rate.estimate is None):
            found.append((job.name, arm, rate.low, rate.low, None))
        elif rate.low and rate.estimate:
            found.append((job.name, arm, rate.estimate, rate.low, rate.high))
    return found


def _draw_scan(panel: Axes, name: str, scan: ScanSummary, place: int) -> None:
    colour, marker = LOOKS[place % len(LOOKS)]
    for converged in (True, False):
        own = [
            (cell.examples_per_class, cell.hidden_total)
            for cell in scan.cells
            if cell.converged == converged and cell.examples_per_class
        ]
        panel.scatter(
            [examples for examples, _ in own],
            [hidden for _, hidden in own],
            s=20,
            marker=marker if marker != "x" else "X",
            facecolors=colour if converged else "none",
            edgecolors=colour,
            alpha=0.7,
        )
    known = [
        (row.examples_per_class, row.hidden_median)
        for row in scan.by_size
        if row.hidden_median is not None and row.examples_per_class
    ]
    panel.plot(
        [examples for examples, _ in known],
        [median for _, median in known],
        color=colour,
        linewidth=1.2,
        label=name,
    )


def _draw_rates(panel: Axes, rows: Sequence[Rate], arms: Sequence[str]) -> None:
    names = list(dict.fromkeys(row[0] for row in rows))
    for place, name in enumerate(names):
        colour, marker = LOOKS[place % len(LOOKS)]
        own = [row for row in rows if row[0] == name]
        shift = 0.5 * (place + 0.5) / len(names) - 0.25
        for _, arm, estimate, low, high in own:
            y = arms.index(arm) + shift
            top = estimate * 3 if high is None else high
            panel.plot([low, top], [y, y], color=colour, linewidth=1.2)
            if high is None:
                panel.scatter([top], [y], marker=">", s=18, color=colour)
        panel.scatter(
            [row[2] for row in own],
            [arms.index(row[1]) + shift for row in own],
            marker=marker,
            s=30,
            color=colour,
            label=name,
            zorder=3,
        )
    panel.axvline(1.0, color=INK, linewidth=0.9)
    values = [v for row in rows for v in (row[3], row[4] or row[2] * 3)]
    log_scale(panel, "x", [1.0, *values])
    panel.set_yticks(range(len(arms)), labels=list(arms))
    panel.invert_yaxis()
    panel.set_xlabel("runs of the arm for one that grows")

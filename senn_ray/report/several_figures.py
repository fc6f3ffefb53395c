"""Figures of several jobs: their scans overlaid, their exchange rates side by side."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

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

    Args:
        jobs: The jobs.

    Returns:
        The figure; nothing with fewer than two scans.
    """
    found = [job for job in jobs if job.summary["verb"] == "scan"]
    rows = [
        (job.name, cell["per_class"], cell["examples_per_class"], cell["hidden_total"],
         cell["converged"])
        for job in found
        for cell in job.summary["cells"]
        if cell["examples_per_class"]
    ]  # fmt: skip
    if len({row[0] for row in rows}) < 2:
        return None
    text = (
        f"{len(rows)} self-expanding runs of {len(found)} scans, one point each, hollow "
        "where not converged; the lines join the medians of each size."
    )

    def draw(drawn: Canvas, panels: list[Axes]) -> None:
        for place, job in enumerate(found):
            _draw_scan(panels[0], job, place)
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

    Args:
        jobs: The jobs.

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
    if job.summary["verb"] != "compare":
        return []
    found = list[Rate]()
    for arm, currencies in job.summary["exchange_rate"]["quality_at_size"].items():
        rate: dict[str, Any] = currencies.get("runs") or {}
        low, high, estimate = rate.get("low"), rate.get("high"), rate.get("estimate")
        if low and (rate.get("bound") or estimate is None):
            found.append((job.name, arm, low, low, None))
        elif low and estimate:
            found.append((job.name, arm, estimate, low, high))
    return found


def _draw_scan(panel: Axes, job: Shown, place: int) -> None:
    colour, marker = LOOKS[place % len(LOOKS)]
    for converged in (True, False):
        own = [
            c for c in job.summary["cells"]
            if c["converged"] == converged and c["examples_per_class"]
        ]  # fmt: skip
        panel.scatter(
            [cell["examples_per_class"] for cell in own],
            [cell["hidden_total"] for cell in own],
            s=20,
            marker=marker if marker != "x" else "X",
            facecolors=colour if converged else "none",
            edgecolors=colour,
            alpha=0.7,
        )
    known = [r for r in job.summary["by_size"] if r["hidden_median"] is not None]
    panel.plot(
        [row["examples_per_class"] for row in known],
        [row["hidden_median"] for row in known],
        color=colour,
        linewidth=1.2,
        label=job.name,
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

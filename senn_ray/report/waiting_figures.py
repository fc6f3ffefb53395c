"""Figures of a comparison: how long a hit is waited for, and when a run is beaten."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator, PercentFormatter

from senn_ray.report.drawing import (
    ARMS,
    INK,
    Caption,
    Data,
    Figure,
    Layout,
    figure,
    legend_below,
)
from senn_ray.report.target_tables import TARGET_NAMES

Summary = Mapping[str, Any]
Points = Sequence[Mapping[str, Any]]
MANY = 12


def waiting(summary: Summary) -> Figure | None:
    """Draw how likely it is that so many runs of an arm have not reached a target.

    Args:
        summary: Contents of ``summary.json`` of a comparison.

    Returns:
        The figure; nothing before an opponent has a run.
    """
    curves = {
        name: {arm: row["waiting"] for arm, row in arms.items() if row["waiting"]}
        for name, arms in summary["arms"].items()
    }
    rows = [
        (name, arm, *(point[key] for key in ("runs", "chance", "low", "high")))
        for name, arms in curves.items()
        for arm, points in arms.items()
        for point in points
    ]
    if not rows:
        return None

    def draw(drawn: Canvas, panels: list[Axes]) -> None:
        for panel, (name, arms) in zip(panels, curves.items(), strict=True):
            panel.set_title(TARGET_NAMES[name].lower(), loc="left")
            _draw(panel, arms)
        panels[0].set_ylabel("chance of no hit yet")
        legend_below(drawn, panels)

    title = "Waiting for a hit"
    text = (
        "Chance that an arm has not reached the target after so many runs: a geometric "
        "curve for arms of independent runs, the estimate of Kaplan and Meier for "
        "studies and ladders. The 95 % intervals are in the data."
    )
    columns = ("target", "arm", "runs", "chance", "low", "high")
    layout = Layout(height_in=3.4, columns=len(curves))
    caption = Caption(name="waiting", title=title, text=text)
    return figure(caption, Data(columns=columns, rows=rows), layout, draw)


def beaten(summary: Summary) -> Figure | None:
    """Draw how likely it is that so many runs of an arm do not match one that grew.

    Args:
        summary: Contents of ``summary.json`` of a comparison.

    Returns:
        The figure; nothing before an opponent has a run.
    """
    curves = {a: row["curve"] for a, row in summary["beaten"].items() if row["curve"]}
    keys = ("runs", "chance", "no_effect")
    rows = [
        (arm, *(point[key] for key in keys))
        for arm, points in curves.items()
        for point in points
    ]
    if not rows:
        return None

    def draw(drawn: Canvas, panels: list[Axes]) -> None:
        _draw(panels[0], curves)
        longest = max(curves.values(), key=len)
        panels[0].plot(
            [0, *(p["runs"] for p in longest)],
            [1, *(p["no_effect"] for p in longest)],
            color=INK,
            linestyle=":",
            linewidth=1.2,
            label="two identical arms",
        )
        panels[0].set_ylabel("chance: not as good yet")
        legend_below(drawn, panels)

    title = "Runs until an arm is as good as one self-expanding run"
    text = (
        "Chance that the best of so many runs of an arm is still worse than one "
        "self-expanding run, whatever its size. The dotted line is what two identical "
        "arms would give, 1 / (k + 1): only what lies above it is saved by growing."
    )
    caption = Caption(name="beaten", title=title, text=text)
    data = Data(columns=("arm", *keys), rows=rows)
    return figure(caption, data, Layout(height_in=3.2), draw)


def _draw(panel: Axes, curves: Mapping[str, Points]) -> None:
    longest = max(map(len, curves.values()), default=1)
    for arm, points in curves.items():
        colour, marker = ARMS[arm]
        panel.plot(
            [0, *(p["runs"] for p in points)],
            [1, *(p["chance"] for p in points)],
            color=colour,
            marker=marker,
            markersize=3.5,
            # At 0, 1, 2, 4, ...: evenly on the axis.
            markevery=[k for k in range(len(points) + 1) if k & (k - 1) == 0],
            linewidth=1.2,
            drawstyle="steps-post",
            label=arm,
        )
    if longest > MANY:
        # Linear up to one run, so that "none yet" has its place.
        panel.set_xscale("symlog", base=2, linthresh=1)
        panel.xaxis.set_major_formatter("{x:g}")
    else:
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set_xlim(left=0)
    panel.set_ylim(-0.03, 1.03)
    panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panel.set_xlabel("runs")

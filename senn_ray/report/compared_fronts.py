"""Figure of a comparison: fronts of all arms, and their hypervolumes against cost."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from senn_ray.analysis.front_results import FrontComparison, FrontPoint, VolumePoint
from senn_ray.report.drawing import (
    BAND,
    INK,
    Caption,
    Data,
    Figure,
    Layout,
    figure,
    gaps,
    legend_below,
    log_scale,
    look_of,
)

COLUMNS = (
    "panel", "arm", "units", "params", "val_loss", "runs", "hypervolume", "low", "high",
    "device_s", "flops",
)  # fmt: skip
TEXT = (
    "Left: the least validation loss at no more than each size, of the median search of "
    "each arm, with quartiles over searches as bands; of arms that search one size in each "
    "run, of all their runs together. Right: the expected hypervolume of that front after "
    "so many device seconds, with 95 % intervals as bands; the line is that of the median "
    "growing run."
)


def fronts(found: FrontComparison | None) -> Figure | None:
    """Draw the fronts, and what each hypervolume costs.

    Returns:
        The figure; nothing where growing runs have returned one size each.
    """
    if found is None or len(found.rungs) < 2:
        return None

    def draw(drawn: Canvas, panels: list[Axes]) -> None:
        for arm, points in found.arms.items():
            _draw_front(panels[0], arm, points)
        known = [p for points in found.arms.values() for p in points]
        log_scale(panels[0], "x", [p.params for p in known])
        log_scale(panels[0], "y", [p.val_loss for p in known])
        panels[0].set(xlabel="parameters", ylabel="validation loss")
        for arm, volume in found.hypervolume.items():
            _draw_volume(panels[1], arm, volume.curve)
        spent = [
            p.cost["device_s"] for v in found.hypervolume.values() for p in v.curve
        ]
        log_scale(panels[1], "x", spent)
        if found.target_hypervolume is not None:
            panels[1].axhline(
                found.target_hypervolume, color=INK, linewidth=0.9, label="growing run"
            )
        panels[1].set(xlabel="device seconds", ylabel="hypervolume")
        legend_below(drawn, panels)

    caption = Caption(name="fronts", title="Fronts, and what they cost", text=TEXT)
    layout = Layout(height_in=3.8, columns=2)
    return figure(caption, Data(columns=COLUMNS, rows=_rows(found)), layout, draw)


def _rows(found: FrontComparison) -> list[tuple[Any, ...]]:
    sizes = [
        (
            "front",
            arm,
            p.units,
            p.params,
            p.val_loss,
            None,
            None,
            p.low,
            p.high,
            None,
            None,
        )
        for arm, points in found.arms.items()
        for p in points
    ]
    volumes = [
        (
            "hypervolume",
            arm,
            None,
            None,
            None,
            p.runs,
            p.hypervolume,
            p.low,
            p.high,
            p.cost["device_s"],
            p.cost["flops"],
        )
        for arm, volume in found.hypervolume.items()
        for p in volume.curve
    ]
    return [*sizes, *volumes]


def _draw_front(panel: Axes, arm: str, points: Sequence[FrontPoint]) -> None:
    colour, marker = look_of(arm)
    x = [point.params for point in points]
    panel.plot(
        x,
        [point.val_loss for point in points],
        color=colour,
        marker=marker,
        markersize=3,
        linewidth=1.8 if arm == "senn" else 1.1,
        drawstyle="steps-post",
        label=arm,
    )
    panel.fill_between(
        x,
        gaps(point.low for point in points),
        gaps(point.high for point in points),
        step="post",
        color=colour,
        alpha=BAND,
        linewidth=0,
    )


def _draw_volume(panel: Axes, arm: str, points: Sequence[VolumePoint]) -> None:
    colour, marker = look_of(arm)
    x = [point.cost["device_s"] for point in points]
    panel.plot(
        x,
        [point.hypervolume for point in points],
        color=colour,
        marker=marker,
        markersize=3,
        linewidth=1.8 if arm == "senn" else 1.1,
        label=arm,
    )
    panel.fill_between(
        x,
        gaps(point.low for point in points),
        gaps(point.high for point in points),
        color=colour,
        alpha=BAND,
        linewidth=0,
    )

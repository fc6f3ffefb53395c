"""Figure of a comparison: what a hit takes at every target, not only at the headline."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from senn_ray.analysis.results import TargetCurve, TargetPoint
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
from senn_ray.report.formatting import TARGET_NAMES, number
from senn_ray.search.targets import TargetName

Points = Sequence[TargetPoint]
Curves = Mapping[TargetName, TargetCurve]
ROOM = 1.25
ENDS = ("estimate", "low", "high", "bound")


def over_targets(families: Curves) -> Figure | None:
    """Draw the expected runs to a hit against the target loss, for every arm.

    Returns:
        The figure; nothing before the targets are locked.
    """
    if not any(known.arms for known in families.values()):
        return None
    headline = next(iter(families.values())).headline

    def draw(drawn: Canvas, panels: list[Axes]) -> None:
        for panel, (name, known) in zip(panels, families.items(), strict=True):
            panel.set_title(TARGET_NAMES[name].lower(), loc="left")
            _draw(panel, known)
        panels[-1].set_xlabel("target: validation loss at most")
        legend_below(drawn, panels)

    text = (
        "Expected runs to a hit for every target, by one formula for all arms, with "
        "95 % intervals as bands. Triangles are lower bounds: there, an arm never hit. "
        f"The vertical line is the headline target, {number(headline)}; self-expanding "
        "runs have set it themselves, so that there at least half of them hit."
    )
    caption = Caption(name="over-targets", title="Runs to a hit, by target", text=text)
    columns = ("target", "arm", "val_loss", "hits", "searches", *ENDS)
    data = Data(columns=columns, rows=_rows(families))
    layout = Layout(height_in=6.2, heights=(1,) * len(families))
    return figure(caption, data, layout, draw)


def _rows(families: Curves) -> list[tuple[Any, ...]]:
    return [
        (
            name,
            arm,
            point.val_loss,
            point.hits,
            point.searches,
            *(getattr(point.runs, key) for key in ENDS),
        )
        for name, known in families.items()
        for arm, points in known.arms.items()
        for point in points
    ]


def _draw(panel: Axes, known: TargetCurve) -> None:
    for arm, points in known.arms.items():
        _draw_arm(panel, arm, points)
    panel.axvline(known.headline, color=INK, linewidth=0.9, label="headline target")
    panel.set_ylabel("runs to a hit")
    points = [point for points in known.arms.values() for point in points]
    log_scale(panel, "x", [point.val_loss for point in points])
    runs = [point.runs.estimate or point.runs.low or 1.0 for point in points]
    log_scale(panel, "y", runs)
    # One hit among many runs has an interval to the thousands: the curves set the range.
    panel.set_ylim(1 / ROOM, ROOM * max(runs))


def _draw_arm(panel: Axes, arm: str, points: Points) -> None:
    colour, marker = look_of(arm)
    hit = [point for point in points if not point.runs.bound]
    x = [point.val_loss for point in hit]
    panel.plot(
        x,
        gaps(point.runs.estimate for point in hit),
        color=colour,
        marker=marker,
        markersize=3.5,
        linewidth=1.8 if arm == "senn" else 1.1,
        label=arm,
    )
    low, high = ([getattr(point.runs, end) for point in hit] for end in ("low", "high"))
    panel.fill_between(x, low, high, color=colour, alpha=BAND, linewidth=0)
    never = [point for point in points if point.runs.bound]
    panel.scatter(
        [point.val_loss for point in never],
        gaps(point.runs.low for point in never),
        marker="^",
        s=14,
        facecolors="none",
        edgecolors=colour,
        linewidths=0.8,
    )

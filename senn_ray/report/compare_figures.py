"""Figures of a comparison: sizes against losses, and the best so far against cost."""

import math
from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from senn_ray.analysis.results import BestOf, CompareSummary, Summary
from senn_ray.core.records import RunRecord
from senn_ray.report.drawing import (
    ARMS,
    BAND,
    INK,
    UNFILLED,
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
from senn_ray.report.formatting import number
from senn_ray.search.targets import Currency

Row = tuple[Any, ...]
Curves = Mapping[str, Sequence[BestOf]]
POINT = ("runs", "val_loss", "median", "low", "high")
ROOM = 1.15
PANELS: dict[Currency, str] = {"runs": "runs", "device_s": "device seconds"}


def size_against_loss(records: Sequence[RunRecord], summary: Summary) -> Figure | None:
    """Draw every run by its width and validation loss, with sizes and targets.

    Returns:
        The figure; nothing if no run has a positive loss.
    """
    shown = [r for r in records if r.val_loss is not None and r.val_loss > 0]
    if not shown:
        return None
    found = target = limit = None
    if isinstance(summary, CompareSummary):
        found = summary.size.senn and summary.size.senn.estimate
        target = summary.targets["quality"].val_loss
        limit = _widest(shown, summary.targets["quality_at_size"].max_params)
    description = f"{len(shown)} runs by hidden units and validation loss."
    if found is not None:
        description += f" The self-found size is {found:g} units."
    if target is not None:
        description += f" The target loss is {number(target)}."
    if limit is not None:
        description += f" Quality at size wants at most {limit} units."

    def draw(drawn: Canvas, panels: list[Axes]) -> None:
        _draw_runs(panels[0], shown)
        _draw_lines(panels[0], target=target, found=found, limit=limit)
        legend_below(drawn, panels)

    data = Data(
        columns=("run_id", "arm", "hidden", "params", "val_loss"),
        rows=[(r.run_id, r.arm, sum(r.hidden), r.params, r.val_loss) for r in shown],
    )
    title = "Size against validation loss"
    caption = Caption(name="sizes", title=title, text=description)
    return figure(caption, data, Layout(height_in=3.8), draw)


def best_so_far(summary: CompareSummary) -> Figure | None:
    """Draw the expected best loss against what it costs, for every arm.

    Returns:
        The figure; nothing without curves.
    """
    curves = {arm: points for arm, points in summary.curves.items() if points}
    rows = [
        (arm, *(getattr(point, name) for name in POINT), *map(point.cost.get, PANELS))
        for arm, points in curves.items()
        for point in points
    ]
    if not rows:
        return None
    description = (
        "Expected best validation loss of each arm after so many runs, and after so "
        "many device seconds. Bands are 95 % intervals: of the median best loss for "
        "arms of independent runs, of the mean over studies for the others; where there "
        "is none, the runs do not give one. Width plays no part here; see quality at "
        "size."
    )
    target = summary.targets["quality"].val_loss

    def draw(drawn: Canvas, panels: list[Axes]) -> None:
        for panel, (currency, word) in zip(panels, PANELS.items(), strict=True):
            _draw_curves(panel, curves, currency)
            _draw_lines(panel, target=target)
            panel.set_xlabel(word)
        panels[0].set_ylabel("best validation loss")
        legend_below(drawn, panels)

    columns = ("arm", *POINT, *(f"cost_{c}" for c in PANELS))
    title = "Best so far against cost"
    caption = Caption(name="best-so-far", title=title, text=description)
    layout = Layout(height_in=3.4, columns=len(PANELS))
    return figure(caption, Data(columns=columns, rows=rows), layout, draw)


def _draw_runs(panel: Axes, records: Sequence[RunRecord]) -> None:
    drawn = {record.arm for record in records}
    for arm in [*ARMS, *sorted(drawn - ARMS.keys())]:
        colour, marker = look_of(arm)
        own = [r for r in records if r.arm == arm]
        if own:
            x, y = [sum(r.hidden) for r in own], [r.val_loss or 0.0 for r in own]
            size, level = (90, 4) if arm == "senn" else (24, 3)
            panel.scatter(
                x,
                y,
                marker=marker,
                s=size,
                color=colour,
                alpha=0.85,
                linewidths=1 if marker in UNFILLED else 0,
                label=arm,
                zorder=level,
            )
    widths = [sum(r.hidden) for r in records]
    if max(widths) > 4 * min(widths):
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter("{x:g}")
    else:
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    log_scale(panel, "y", [r.val_loss or 0.0 for r in records])
    panel.set_xlabel("hidden units")
    panel.set_ylabel("validation loss")


def _draw_lines(
    panel: Axes,
    *,
    target: float | None,
    found: float | None = None,
    limit: float | None = None,
) -> None:
    if target is not None:
        panel.axhline(target, color=INK, linewidth=0.9, label="target loss")
    if found is not None:
        colour = ARMS["senn"][0]
        panel.axvline(found, color=colour, linewidth=0.9, label="self-found size")
    if limit is not None:
        panel.axvline(
            limit,
            color=INK,
            linewidth=0.9,
            linestyle=":",
            label="largest of quality at size",
        )


def _draw_curves(panel: Axes, curves: Curves, currency: Currency) -> None:
    for arm, points in curves.items():
        colour, marker = look_of(arm)
        known = [p for p in points if p.val_loss is not None]
        x, y = [p.cost[currency] for p in known], gaps(p.val_loss for p in known)
        panel.plot(
            x,
            y,
            color=colour,
            marker=marker,
            markersize=3,
            linewidth=1.2,
            drawstyle="steps-post",
            label=arm,
        )
        _draw_band(panel, points, currency, colour)
    points = [p for curve in curves.values() for p in curve]
    losses = [p.val_loss for p in points if p.val_loss is not None]
    log_scale(panel, "x", [p.cost[currency] for p in points])
    log_scale(panel, "y", losses)
    if losses and min(losses) > 0:
        # Bands of few studies are wide, even below 0: the curves set the range.
        panel.set_ylim(min(losses) / ROOM, max(losses) * ROOM)


def _draw_band(
    panel: Axes, points: Sequence[BestOf], currency: Currency, colour: str
) -> None:
    # Not a number leaves a gap: an interval with one end only is no band.
    ends = [
        (p.low, p.high) if None not in (p.low, p.high) else (nan, nan) for p in points
    ]
    panel.fill_between(
        [p.cost[currency] for p in points],
        gaps(low for low, _ in ends),
        gaps(high for _, high in ends),
        step="post",
        color=colour,
        alpha=BAND,
        linewidth=0,
    )


def _widest(records: Sequence[RunRecord], most: int | None) -> int | None:
    """Translate the greatest number of parameters into units of one hidden layer."""
    one_layer = {r.hidden[0]: r.params for r in records if len(r.hidden) == 1}
    known = sorted(one_layer.items())
    if most is None or len(known) < 2:
        return None
    (low, few), (high, many) = known[0], known[-1]
    per_unit = (many - few) / (high - low)
    return math.floor(low + (most - few) / per_unit)

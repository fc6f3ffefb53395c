"""Figures of fronts: validation loss against parameters, of one run or many."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, NullFormatter

from senn_ray.core.fronts import best
from senn_ray.core.records import RunRecord
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

SENN = ARMS["senn"][0]
PLAIN = ARMS["grid"][0]
COLUMNS = (
    "run_id", "arm", "per_class", "rung", "found", "best", "hidden", "params", "flops",
    "val_loss", "val_accuracy", "gap", "gap_se", "steps", "device_s",
)  # fmt: skip
OF_RUNG = COLUMNS[COLUMNS.index("params") :]
WORDS = (
    "Validation loss against parameters of all networks that a growing run passes "
    "through, both axes logarithmic. Filled: the found size; ring: the network of least "
    "loss."
)
MOST_ACROSS = 3
"""Panels side by side."""
PANEL_IN = 1.9
ROOM = 0.05
"""Room on either side of the points, as a share of a logarithmic axis."""
Records = Sequence[RunRecord]
Points = Sequence[tuple[float, float]]


def fronts(records: Records) -> Figure | None:
    """Draw the fronts of growing runs, and plain networks where some were trained.

    Returns:
        The figure; nothing if no run has a front.
    """
    grown, plain = _grown(records), _plain(records)
    if not grown:
        return None

    def draw(drawn: Canvas, panels: list[Axes]) -> None:
        _draw(panels[0], grown, plain)
        panels[0].set_ylabel("validation loss")
        panels[0].set_xlabel("parameters")
        legend_below(drawn, panels)

    many = f" {len(grown)} runs, one line each." if len(grown) > 1 else ""
    caption = Caption(
        name="front",
        title="Front: size against validation loss",
        text=WORDS + many + _about(plain),
    )
    return figure(caption, _data(grown, plain), Layout(height_in=3.8), draw)


def fronts_by_size(records: Records) -> Figure | None:
    """Draw the fronts of the cells of a scan, in one panel for each number of examples.

    Returns:
        The figure; nothing if no run has a front.
    """
    grown, plain = _grown(records), _plain(records)
    if not grown:
        return None
    sizes = sorted({r.per_class for r in grown}, key=_order)
    across = min(MOST_ACROSS, len(sizes))
    rows = math.ceil(len(sizes) / across)
    drawn_points = _points(grown, plain)

    def draw(drawn: Canvas, panels: list[Axes]) -> None:
        for panel, size in zip(panels, sizes, strict=False):
            _draw(
                panel,
                [r for r in grown if r.per_class == size],
                [r for r in plain if r.per_class == size],
            )
            _alike(panel, drawn_points)
            panel.set_title(f"{size} per class")
        for place, panel in enumerate(panels):
            if place % across == 0:
                panel.set_ylabel("validation loss")
            if place >= len(sizes) - across:
                panel.set_xlabel("parameters")
                panel.tick_params(labelbottom=True)
            panel.set_visible(place < len(sizes))
        legend_below(drawn, panels)

    caption = Caption(
        name="fronts",
        title="Fronts of all cells",
        text=f"{WORDS} One panel for each number of training examples per class, all with "
        f"the same axes; one line for each run.{_about(plain)}",
    )
    layout = Layout(
        height_in=0.7 + PANEL_IN * rows, heights=(1,) * rows, columns=across
    )
    return figure(caption, _data(grown, plain), layout, draw)


def _grown(records: Records) -> list[RunRecord]:
    return [r for r in records if r.arm == "senn" and r.front]


def _plain(records: Records) -> list[RunRecord]:
    """Return the plain networks, trained alone, whose loss is known."""
    arms = {"grid", "no_growth_at_final"}
    return [r for r in records if r.arm in arms and r.val_loss]


def _about(plain: Records) -> str:
    return " Squares: plain networks, trained alone." if plain else ""


def _order(size: Any) -> float:
    return math.inf if size == "all" else float(size)


def _draw(panel: Axes, grown: Records, plain: Records) -> None:
    for record in grown:
        panel.plot(
            [rung.params for rung in record.front],
            [rung.val_loss for rung in record.front],
            color=SENN,
            linewidth=1,
            marker=".",
            markersize=3,
            alpha=0.7,
            label="growing run",
        )
    least = [record.front[best(record.front)] for record in grown]
    found = [r.front[r.found] for r in grown if r.found is not None]
    marks: Mapping[str, tuple[Sequence[Any], dict[str, Any]]] = {
        "least loss": (least, {"facecolors": "none", "edgecolors": INK, "s": 60}),
        "found size": (found, {"color": SENN, "s": 28, "linewidths": 0}),
        "plain network": (plain, {"color": PLAIN, "marker": "s", "s": 14}),
    }
    for label, (points, look) in marks.items():
        if points:
            x, y = [p.params for p in points], [p.val_loss or 0.0 for p in points]
            panel.scatter(x, y, label=label, zorder=3, **look)
    params, losses = zip(*_points(grown, plain), strict=True)
    log_scale(panel, "x", params)
    log_scale(panel, "y", losses)


def _points(grown: Records, plain: Records) -> Points:
    """Return parameters and loss of all networks that are drawn."""
    rungs = [rung for record in grown for rung in record.front]
    return [(float(n.params), n.val_loss or 0.0) for n in (*plain, *rungs)]


def _alike(panel: Axes, points: Points) -> None:
    """Give a panel the axes of all, so that panels can be compared."""
    for side, values in zip("xy", zip(*points, strict=True), strict=True):
        low, high = min(values), max(values)
        if low <= 0:
            continue
        room = (high / low) ** ROOM
        panel.set(**{f"{side}scale": "log", f"{side}lim": (low / room, high * room)})
        axis = panel.xaxis if side == "x" else panel.yaxis
        # Names of parameters are long, and panels narrow.
        is_wide = side == "x" and high > 10 * low
        axis.set_major_locator(LogLocator(subs=(1,) if is_wide else (1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def _data(grown: Records, plain: Records) -> Data:
    rows = [
        (
            *(record.run_id, record.arm, record.per_class, place + 1),
            *(place == record.found, place == best(record.front)),
            "-".join(map(str, rung.hidden)),
            *(getattr(rung, name) for name in OF_RUNG),
        )
        for record in grown
        for place, rung in enumerate(record.front)
    ]
    rows += [
        (
            *(r.run_id, r.arm, r.per_class, None, None, None),
            *("-".join(map(str, r.hidden)), r.params, None, r.val_loss),
            *(r.val_accuracy, None, None, r.cost.steps, r.cost.device_s),
        )
        for r in plain
    ]
    return Data(columns=COLUMNS, rows=rows)

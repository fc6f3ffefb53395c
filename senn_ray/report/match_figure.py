"""The figure of ``match``: the best of k runs."""

from matplotlib.axes import Axes

from senn_ray.analysis.results import MatchResult
from senn_ray.report.drawing import (
    LIGHT,
    Figure,
    canvas,
    gaps,
    legend_below,
    log_scale,
    to_png,
    to_svg,
)
from senn_ray.report.formatting import number

COLOUR = LIGHT.senn
COLUMNS = ("runs", "best", "median", "low", "high")


def best_of_k(found: MatchResult) -> Figure:
    """Draw the best of so many runs."""
    name, title = "best-of-k", "The best of k runs"
    description = (
        f"Best value of so many runs, of {found.trials} trials; {found.hits} of "
        f"{found.searches} searches reached {number(found.target)}. The band is "
        "the 95 % interval."
    )
    with canvas(name, height_in=3.2, paint=LIGHT) as (drawn, [panel]):
        _draw_values(panel, found)
        legend_below(drawn, [panel])
        svg = to_svg(drawn, name=name, title=title, description=description)
        png = to_png(drawn, LIGHT)
    return Figure(
        name=name,
        title=title,
        caption=description,
        svg=svg,
        columns=COLUMNS,
        rows=tuple((p.runs, p.val_loss, p.median, p.low, p.high) for p in found.curve),
        png=png,
    )


def _draw_values(panel: Axes, found: MatchResult) -> None:
    known = [point for point in found.curve if point.median is not None]
    runs = [point.runs for point in known]
    panel.plot(
        runs, gaps(p.median for p in known), color=COLOUR, marker="o", markersize=3,
        linewidth=1.2, label="median best of k",
    )  # fmt: skip
    ends = [p for p in known if p.low is not None and p.high is not None]
    panel.fill_between(
        [p.runs for p in ends],
        gaps(p.low for p in ends),
        gaps(p.high for p in ends),
        color=COLOUR,
        alpha=0.2,
        linewidth=0,
        label="95 % interval",
    )
    panel.axhline(found.target, color=LIGHT.ink, linewidth=0.9, label="target")
    log_scale(panel, "x", runs)
    panel.set_xlabel("runs")
    panel.set_ylabel("best value")

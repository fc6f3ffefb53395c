"""The figure of ``match``: the best of k runs, and how long a hit takes."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from senn_ray.report.drawing import LIGHT, Figure, canvas, log_scale, to_png, to_svg
from senn_ray.report.formatting import number

COLOUR = LIGHT.senn
COLUMNS = (
    "runs",
    "best",
    "median",
    "low",
    "high",
    "not_reached",
    "not_low",
    "not_high",
)


def best_of_k(found: Mapping[str, Any]) -> Figure:
    """Draw the best of so many runs, and the chance that the target is not reached.

    Args:
        found: What ``app.match`` gave.
    """
    name, title = "best-of-k", "The best of k runs"
    description = (
        f"Best value of so many runs, and the chance that none of them has reached "
        f"{number(found['target'])}; {found['trials']} trials, "
        f"{found['hits']} of {found['searches']} searches reached it. Bands are 95 %."
    )
    with canvas(name, height_in=3.2, columns=2, paint=LIGHT) as (
        drawn,
        [values, chances],
    ):
        _draw_values(values, found)
        _draw_chances(chances, found)
        drawn.legend(*values.get_legend_handles_labels(), loc="outside lower center",
                     ncols=4)  # fmt: skip
        svg = to_svg(drawn, name=name, title=title, description=description)
        png = to_png(drawn, LIGHT)
    return Figure(
        name=name,
        title=title,
        caption=description,
        svg=svg,
        columns=COLUMNS,
        rows=_rows(found),
        png=png,
    )


def _rows(found: Mapping[str, Any]) -> tuple[tuple[Any, ...], ...]:
    waiting = {point["runs"]: point for point in found["waiting"]}
    return tuple(
        (
            *(
                point[column]
                for column in ("runs", "val_loss", "median", "low", "high")
            ),
            *(
                waiting.get(point["runs"], {}).get(end)
                for end in ("chance", "low", "high")
            ),
        )
        for point in found["curve"]
    )


def _draw_values(panel: Axes, found: Mapping[str, Any]) -> None:
    known = [point for point in found["curve"] if point["median"] is not None]
    runs = [point["runs"] for point in known]
    panel.plot(
        runs, [p["median"] for p in known], color=COLOUR, marker="o", markersize=3,
        linewidth=1.2, label="median best of k",
    )  # fmt: skip
    ends = [p for p in known if p["low"] is not None and p["high"] is not None]
    panel.fill_between(
        [p["runs"] for p in ends],
        [p["low"] for p in ends],
        [p["high"] for p in ends],
        color=COLOUR,
        alpha=0.2,
        linewidth=0,
        label="95 % interval",
    )
    panel.axhline(found["target"], color=LIGHT.ink, linewidth=0.9, label="target")
    log_scale(panel, "x", runs)
    panel.set_xlabel("runs")
    panel.set_ylabel("best value")


def _draw_chances(panel: Axes, found: Mapping[str, Any]) -> None:
    points = found["waiting"]
    runs = [point["runs"] for point in points]
    panel.plot(
        runs, [p["chance"] for p in points], color=COLOUR, linewidth=1.2,
        drawstyle="steps-post",
    )  # fmt: skip
    panel.fill_between(
        runs,
        [p["low"] for p in points],
        [p["high"] for p in points],
        color=COLOUR,
        alpha=0.2,
        linewidth=0,
        step="post",
    )
    panel.set_ylim(0, 1.02)
    log_scale(panel, "x", runs)
    panel.set_xlabel("runs")
    panel.set_ylabel("chance of no hit yet")

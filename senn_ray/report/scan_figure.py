"""The figure of a scan: found width, and test accuracy, against examples per class."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from senn_ray.analysis.results import Cell, OracleRow, ScanSummary, SizeCells
from senn_ray.report.drawing import (
    LIGHT,
    STAND_IN,
    Caption,
    Data,
    Figure,
    Layout,
    Paint,
    canvas,
    figure,
    gaps,
    legend_below,
    log_scale,
    to_png,
    to_svg,
)
from senn_ray.report.formatting import trend

NAME, TITLE = "scan", "Hidden units against training examples per class"
MARKS = {
    "smallest_sufficient_hidden": "smallest sufficient plain width",
    "best_fixed_test_accuracy": "best plain width",
}
DODGE, DODGES = 1.03, 3
COLUMNS = (
    "per_class",
    "subset_seed",
    "n_train",
    "examples_per_class",
    "hidden_total",
    "val_loss",
    "test_accuracy",
    "stop_reason",
    "converged",
)
Cells = Sequence[Cell]
Sizes = Sequence[SizeCells]
Oracle = Sequence[tuple[float, OracleRow]]
"""With the place of each row on the axis of examples."""


def width_against_examples(summary: ScanSummary) -> Figure | None:
    """Draw the cells of a scan: seeds as points, hollow where not converged.

    Returns:
        The figure; nothing if no cell has a place on the axis of examples.
    """
    cells = [c for c in summary.cells if c.examples_per_class]
    if not cells:
        return None
    sizes = [row for row in summary.by_size if row.examples_per_class]
    hollow = sum(not cell.converged for cell in cells)
    ended = f"Filled points converged, hollow ones ({hollow}) did not."
    description = (
        f"{len(cells)} self-expanding runs on nested subsets of {summary.dataset}, "
        "one point each; the lines join the medians of each size (widths: of "
        f"converged runs). Points of one size are set a little apart. "
        f"{ended if hollow else 'All converged.'} {trend(summary.fit)}"
    )
    plain = _plain(summary, sizes)
    with _drawn(cells, sizes, plain, STAND_IN) as drawn:
        svg = to_svg(drawn, name=NAME, title=TITLE, description=description)
    with _drawn(cells, sizes, plain, LIGHT) as drawn:
        png = to_png(drawn, LIGHT)
    return Figure(
        name=NAME,
        title=TITLE,
        caption=description,
        svg=svg,
        columns=COLUMNS,
        rows=tuple(
            tuple(getattr(cell, name) for name in COLUMNS) for cell in summary.cells
        ),
        png=png,
    )


def found_and_best(summary: ScanSummary) -> Figure | None:
    """Draw the found size and that of least loss against examples, axes logarithmic.

    Returns:
        The figure; nothing if no run has a front.
    """
    cells = [
        c
        for c in summary.cells
        if c.examples_per_class and c.best_hidden_total and c.converged
    ]
    if not cells:
        return None
    sizes = [row for row in summary.by_size if row.examples_per_class]
    lines = {
        "found size": ("hidden_total", "hidden_median", STAND_IN.senn, "o"),
        "size of least loss": (
            "best_hidden_total",
            "best_hidden_median",
            STAND_IN.muted,
            "D",
        ),
    }
    first = min(cell.subset_seed for cell in cells)

    def draw(drawn: Canvas, panels: list[Axes]) -> None:
        for label, (own, median, colour, marker) in lines.items():
            panels[0].scatter(
                [_place(cell, first) for cell in cells],
                [getattr(cell, own) for cell in cells],
                s=20,
                marker=marker,
                facecolors="none",
                edgecolors=colour,
            )
            known = [row for row in sizes if getattr(row, median) is not None]
            panels[0].plot(
                gaps(row.examples_per_class for row in known),
                [getattr(row, median) for row in known],
                color=colour,
                marker=marker,
                linewidth=1.2,
                label=label,
            )
        widths = [getattr(cell, own) for cell in cells for own, *_ in lines.values()]
        log_scale(panels[0], "y", widths)
        panels[0].set_ylabel("hidden units")
        _label_sizes(panels[0], sizes)
        legend_below(drawn, panels)

    caption = Caption(
        name="found-and-best",
        title="Found size and size of least loss against training examples per class",
        text="Hidden units of the found network of each converged run, and of the network "
        "of least validation loss on its front; both axes logarithmic. Lines join the "
        "medians. Around the least "
        "loss a front is flat, so its size is the less certain of the two.",
    )
    columns = (
        *("per_class", "subset_seed", "examples_per_class"),
        *("hidden_total", "best_hidden_total"),
    )
    rows = [tuple(getattr(cell, name) for name in columns) for cell in cells]
    data = Data(columns=columns, rows=rows)
    return figure(caption, data, Layout(height_in=3.4), draw)


@contextlib.contextmanager
def _drawn(cells: Cells, sizes: Sizes, plain: Oracle, paint: Paint) -> Iterator[Canvas]:
    measured = any(cell.test_accuracy is not None for cell in cells)
    heights = (3, 2) if measured else (1,)
    with canvas(NAME, height_in=4.8, heights=heights, paint=paint) as (drawn, panels):
        _draw(panels[0], cells, "hidden_total", paint)
        _join(panels[0], sizes, "hidden_median", paint)
        _mark(panels[0], plain, "smallest_sufficient_hidden", paint)
        panels[0].set_ylabel("hidden units")
        panels[0].set_ylim(bottom=0)
        panels[0].yaxis.set_major_locator(MaxNLocator(integer=True))
        if measured:
            _draw(panels[1], cells, "test_accuracy", paint)
            _join(panels[1], sizes, "test_accuracy", paint)
            _mark(panels[1], plain, "best_fixed_test_accuracy", paint)
            panels[1].set_ylabel("test accuracy")
            panels[1].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        _label_sizes(panels[-1], sizes)
        drawn.legend(
            *_legend(panels),
            loc="outside lower center",
            ncols=3,
        )
        yield drawn


def _legend(panels: Sequence[Axes]) -> tuple[list[Any], list[str]]:
    named: dict[str, Any] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        named.update(zip(labels, handles, strict=True))
    # Both diamonds look alike; one entry says what they are in each panel.
    both = [label for label in MARKS.values() if label in named]
    if len(both) > 1:
        named[" / ".join(both)] = named.pop(both[0])
        del named[both[1]]
    return list(named.values()), list(named)


def _draw(panel: Axes, cells: Cells, what: str, paint: Paint) -> None:
    kinds = {
        "converged run": (True, paint.senn),
        "run that did not converge": (False, "none"),
    }
    first = min(cell.subset_seed for cell in cells)
    for label, (converged, fill) in kinds.items():
        own = [
            c
            for c in cells
            if c.converged == converged and getattr(c, what) is not None
        ]
        if own:
            panel.scatter(
                [_place(cell, first) for cell in own],
                [getattr(cell, what) for cell in own],
                s=26,
                facecolors=fill,
                edgecolors=paint.senn,
                linewidths=1.1,
                alpha=0.85,
                label=label,
                zorder=3,
            )


def _place(cell: Cell, first: int) -> float:
    """Set the subset seeds a little apart, so that equal widths can be seen."""
    turn = (cell.subset_seed - first) % DODGES - (DODGES - 1) / 2
    return (cell.examples_per_class or 0.0) * DODGE**turn


def _join(panel: Axes, sizes: Sizes, what: str, paint: Paint) -> None:
    known = [row for row in sizes if getattr(row, what) is not None]
    panel.plot(
        gaps(row.examples_per_class for row in known),
        [getattr(row, what) for row in known],
        color=paint.ink,
        linewidth=1.2,
        label="median",
        zorder=2,
    )


def _plain(summary: ScanSummary, sizes: Sizes) -> Oracle:
    """Give the rows of the oracle their place on the axis of examples."""
    places = {row.per_class: row.examples_per_class for row in sizes}
    found = ((places.get(row.per_class), row) for row in summary.oracle)
    return [(place, row) for place, row in found if place]


def _mark(panel: Axes, plain: Oracle, what: str, paint: Paint) -> None:
    known = [(place, getattr(row, what)) for place, row in plain]
    known = [(place, value) for place, value in known if value is not None]
    if known:
        panel.scatter(
            *zip(*known, strict=True),
            marker="D",
            s=40,
            facecolors="none",
            edgecolors=paint.ink,
            label=MARKS[what],
            zorder=4,
        )


def _label_sizes(panel: Axes, sizes: Sizes) -> None:
    """Name the sizes that were visited; "all" a line lower, where nothing is near."""
    panel.set_xscale("log")
    names = {
        row.examples_per_class: "\nall"
        if row.per_class == "all"
        else f"{row.per_class:,}"
        for row in sizes
    }
    panel.set_xticks(gaps(names), labels=list(names.values()))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlabel("training examples per class")

"""Figures of self-expanding runs: how they grew, and whether promises were kept."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from senn_ray.analysis.results import Promises
from senn_ray.core.records import RunRecord, promises_of
from senn_ray.report.drawing import (
    ARMS,
    INK,
    MUTED,
    Caption,
    Data,
    Figure,
    Layout,
    figure,
    log_scale,
)
from senn_ray.report.formatting import correlation

SENN = ARMS["senn"][0]
# kind: (what a reader calls it, marker, colour)
MARKS = {
    "widen": ("accepted proposal", "^", SENN),
    "insert_layer": ("inserted layer", "s", SENN),
    "rejected": ("rejected proposal", "x", MUTED),
    "prune": ("removal", "v", ARMS["tpe_pareto"][0]),
    "remove_layer": ("removed layer", "D", ARMS["tpe_pareto"][0]),
}
LEAST_SHOWN = 1e-9
TRACE_COLUMNS = (
    "what",
    "step",
    "hidden",
    "train_loss",
    "val_loss",
    "current_score",
    "score_gain",
    "removal_cost",
)
Row = tuple[Any, ...]


def growth_trace(record: RunRecord) -> Figure:
    """Draw width, validation loss and expansion score of a run against its steps."""
    width = sum(record.hidden)
    counts = {kind: sum(e.kind == kind for e in record.expansions) for kind in MARKS}
    description = (
        f"Hidden units, validation loss and expansion score against optimiser steps. "
        f"From {sum(record.hidden_start)} to {width} units: {counts['widen']} accepted "
        f"and {counts['rejected']} rejected proposals, {counts['prune']} removals."
    )
    if layers := counts["insert_layer"]:
        description += (
            f" {layers} layers were inserted, {counts['remove_layer']} removed."
        )

    def draw(drawn: Canvas, panels: list[Axes]) -> None:
        del drawn
        _draw_width(panels[0], record)
        _draw_loss(panels[1], record)
        _draw_score(panels[2], record)
        panels[-1].set_xlabel("optimiser steps")

    caption = Caption(
        name=f"growth-{record.run_id}",
        title=f"Growth of {record.run_id}",
        text=description,
    )
    data = Data(columns=TRACE_COLUMNS, rows=_trace_rows(record))
    return figure(caption, data, Layout(height_in=5.2, heights=(3, 2, 2)), draw)


def promises(records: Sequence[RunRecord], found: Promises) -> Figure | None:
    """Draw the realised drop of the loss against the promised one, check by check.

    Returns:
        The figure; nothing if no check has both numbers.
    """
    rows = [
        (r.run_id, p.step, p.additions, p.promised_drop, p.realised_drop)
        for r in records
        for p in promises_of(r)
    ]
    if not rows:
        return None
    promised, realised = [row[3] for row in rows], [row[4] for row in rows]
    kept = sum(r >= p for p, r in zip(promised, realised, strict=True))
    description = (
        f"{len(rows)} growth checks with accepted proposals. Across: half the sum of "
        f"their score gains, the drop that was promised. Up: the drop of the loss on "
        f"the decision examples until the next check, which includes the training in "
        f"between; {kept} are on or above the line of equality."
        f"{correlation(found)}"
    )
    title = "Promised and realised drop of the loss"
    caption = Caption(name="promises", title=title, text=description)
    columns = ("run_id", "step", "additions", "promised_drop", "realised_drop")
    return figure(
        caption,
        Data(columns=columns, rows=rows),
        Layout(height_in=3.6),
        lambda _, panels: _draw_promises(panels[0], promised, realised),
    )


def _draw_promises(
    panel: Axes, promised: Sequence[float], realised: Sequence[float]
) -> None:
    panel.scatter(promised, realised, s=16, color=SENN, alpha=0.7, linewidths=0)
    # Many points: where only one axis is logarithmic, equality is a curve.
    places = np.geomspace(max(min(promised), LEAST_SHOWN), max(promised), 100)
    panel.plot(places, places, color=INK, linewidth=0.8, label="realised = promised")
    log_scale(panel, "x", promised)
    log_scale(panel, "y", realised)
    panel.set_xlabel("promised drop (nats)")
    panel.set_ylabel("realised drop (nats)")
    panel.legend(loc="upper left")


def _draw_width(panel: Axes, record: RunRecord) -> None:
    changes = [(e.step, sum(e.hidden_after)) for e in record.expansions]
    path = [(0, sum(record.hidden_start)), *changes]
    path.append((record.cost.steps, sum(record.hidden)))
    steps, widths = zip(*path, strict=True)
    panel.plot(steps, widths, drawstyle="steps-post", color=INK, linewidth=1)
    for kind, (word, marker, colour) in MARKS.items():
        at = [
            (e.step, sum(e.hidden_after)) for e in record.expansions if e.kind == kind
        ]
        if at:
            x, y = zip(*at, strict=True)
            label = f"{word} ({len(at)})"
            panel.scatter(
                x, y, marker=marker, s=22, color=colour, label=label, zorder=3
            )
    panel.set_ylabel("hidden units")
    panel.yaxis.set_major_locator(MaxNLocator(integer=True))
    if record.expansions:
        panel.legend(loc="lower right")


def _draw_loss(panel: Axes, record: RunRecord) -> None:
    steps = [e.step for e in record.evaluations]
    panel.plot(
        steps,
        [e.train_loss for e in record.evaluations],
        color=MUTED,
        linewidth=1,
        linestyle="--",
        label="training",
    )
    panel.plot(
        steps,
        [e.val_loss for e in record.evaluations],
        color=SENN,
        linewidth=1.4,
        label="validation",
    )
    losses = [loss for e in record.evaluations for loss in (e.train_loss, e.val_loss)]
    log_scale(panel, "y", losses)
    panel.set_ylabel("loss")
    panel.legend(loc="upper right")


def _draw_score(panel: Axes, record: RunRecord) -> None:
    scores = [(e.step, e.current_score) for e in record.expansions if e.current_score]
    gains = [(e.step, e.score_gain) for e in record.expansions if e.score_gain]
    if scores:
        panel.plot(
            *zip(*scores, strict=True),
            color=INK,
            linewidth=1,
            marker=".",
            markersize=3,
            label="current score",
        )
    if gains:
        panel.plot(
            *zip(*gains, strict=True),
            color=SENN,
            linewidth=0,
            marker="+",
            markersize=4,
            label="score gain of the proposal",
        )
    if scores or gains:
        log_scale(panel, "y", [value for _, value in (*scores, *gains)])
        panel.legend(loc="upper right")
    panel.set_ylabel("score (2 nats)")


def _trace_rows(record: RunRecord) -> list[Row]:
    moments: list[Row] = [
        (
            "evaluation",
            e.step,
            sum(e.hidden),
            e.train_loss,
            e.val_loss,
            e.current_score,
            None,
            None,
        )
        for e in record.evaluations
    ]
    changes: list[Row] = [
        (
            e.kind,
            e.step,
            sum(e.hidden_after),
            None,
            None,
            e.current_score,
            e.score_gain,
            e.removal_cost,
        )
        for e in record.expansions
    ]
    return sorted(moments + changes, key=lambda row: row[1])

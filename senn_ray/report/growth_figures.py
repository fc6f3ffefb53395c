"""Figures of self-expanding runs: how they grew, and whether promises were kept."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from senn_ray.records import Expansion, RunRecord
from senn_ray.report.drawing import ARMS, INK, MUTED, Figure, canvas, to_svg

SENN = ARMS["senn"][0]
# kind: (what a reader calls it, marker, colour)
MARKS = {
    "widen": ("accepted proposal", "^", SENN),
    "rejected": ("rejected proposal", "x", MUTED),
    "prune": ("removal", "v", ARMS["tpe_pareto"][0]),
}
Row = tuple[Any, ...]


def growth_trace(record: RunRecord) -> Figure:
    """Draw width, validation loss and expansion score of a run against its steps.

    Args:
        record: A self-expanding run with at least one evaluation.
    """
    name = f"growth-{record.run_id}"
    width = sum(record.hidden)
    title = f"Growth of {record.run_id}"
    counts = {kind: sum(e.kind == kind for e in record.expansions) for kind in MARKS}
    description = (
        f"Hidden units, validation loss and expansion score against optimiser steps. "
        f"From {sum(record.hidden_start)} to {width} units: {counts['widen']} accepted "
        f"and {counts['rejected']} rejected proposals, {counts['prune']} removals."
    )
    with canvas(name, height_in=5.2, heights=(3, 2, 2)) as (drawn, panels):
        _draw_width(panels[0], record)
        _draw_loss(panels[1], record)
        _draw_score(panels[2], record)
        panels[-1].set_xlabel("optimiser steps")
        svg = to_svg(drawn, name=name, title=title, description=description)
    return Figure(
        name=name,
        title=title,
        caption=description,
        svg=svg,
        columns=(
            "what",
            "step",
            "hidden",
            "train_loss",
            "val_loss",
            "current_score",
            "score_gain",
            "removal_cost",
        ),
        rows=tuple(_trace_rows(record)),
    )


def promises(records: Sequence[RunRecord]) -> Figure | None:
    """Draw the realised drop of the loss against the promised one.

    Args:
        records: Self-expanding runs.

    Returns:
        The figure; nothing if no accepted proposal has both numbers.
    """
    rows = [row for r in records for e in r.expansions if (row := _promise(r, e))]
    if not rows:
        return None
    name, title = "promises", "Promised and realised drop of the loss"
    kept = sum(realised >= promised for *_, promised, realised in rows)
    description = (
        f"{len(rows)} accepted proposals. Across: half the score gain, the drop that was "
        f"promised. Up: the drop of the loss on the decision examples at the next "
        f"check, which includes the training in between; {kept} are on or above the "
        f"diagonal of equality."
    )
    with canvas(name, height_in=3.6) as (drawn, [panel]):
        promised, realised = [row[2] for row in rows], [row[3] for row in rows]
        panel.scatter(promised, realised, s=14, color=SENN, alpha=0.7, linewidths=0)
        ends = [min(promised), max(promised)]
        panel.plot(ends, ends, color=INK, linewidth=0.8, label="realised = promised")
        panel.set_xscale("log")
        panel.set_yscale("symlog", linthresh=1e-2)
        panel.set_xlabel("promised drop (nats)")
        panel.set_ylabel("realised drop (nats)")
        panel.legend(loc="upper left")
        svg = to_svg(drawn, name=name, title=title, description=description)
    columns = ("run_id", "step", "promised_drop", "realised_drop")
    return Figure(
        name=name,
        title=title,
        caption=description,
        svg=svg,
        columns=columns,
        rows=tuple(rows),
    )


def _promise(record: RunRecord, expansion: Expansion) -> Row | None:
    gain, before, after = (
        expansion.score_gain,
        expansion.loss_before,
        expansion.loss_after,
    )
    if expansion.kind != "widen" or gain is None or before is None or after is None:
        return None
    return (record.run_id, expansion.step, gain / 2, before - after)


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
    if all(e.val_loss > 0 for e in record.evaluations):
        panel.set_yscale("log")
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
        panel.set_yscale("log")
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

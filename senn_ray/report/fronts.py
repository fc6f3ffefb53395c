"""The front of a run in words and rows: its sizes, and what they cost in loss."""

from collections.abc import Sequence

from senn_ray.analysis.results import FoundRungs, RungRow, RunSummary
from senn_ray.report.formatting import (
    UNKNOWN,
    count,
    duration,
    number,
    share,
    widths,
)
from senn_ray.report.table import Table

RUNG_COLUMNS = (
    "size",
    "hidden units",
    "parameters",
    "FLOPs",
    "validation loss",
    "above the best ± SE",
    "accuracy",
    "steps",
    "device time",
    "",
)
NOTE = (
    "The networks that one run passes through on its way down. FLOPs are those of one "
    "example's forward pass; above the best: of the validation loss, ± its standard error "
    "from differences example by example; steps and device time: of the run until it had "
    "that network. senn-ray pick takes any of them."
)
NAMES = {"best": "best", "one_se": "one_se"}


def rung_row(rung: RungRow, place: int, found: FoundRungs) -> tuple[str, ...]:
    """Lay out a network of a front."""
    marks = [name for name in NAMES if getattr(found, name) == place]
    return (
        str(place + 1),
        widths(rung.hidden),
        str(rung.params),
        count(rung.flops),
        number(rung.val_loss),
        gap(rung),
        share(rung.val_accuracy),
        str(rung.steps),
        duration(rung.device_s),
        ", ".join(marks),
    )


def rungs_table(run: RunSummary, *, several: bool) -> Table:
    """Lay out the front of a run.

    Args:
        run: The run.
        several: Whether it is one of several, so that it is said which.
    """
    which = f": {run.run_id}, the run of median loss" if several else ""
    return Table(
        title=f"Front of size against loss{which}",
        columns=RUNG_COLUMNS,
        rows=tuple(rung_row(r, n, run.found) for n, r in enumerate(run.front)),
        note=NOTE,
    )


def gap(rung: RungRow) -> str:
    """Write how far a network is above the best of its run, in validation loss."""
    if not rung.gap and not rung.gap_se:
        return UNKNOWN
    return f"{rung.gap:+.4f} ± {rung.gap_se:.4f}"


def middle(runs: Sequence[RunSummary]) -> RunSummary | None:
    """Return the run of (low) median validation loss among those with a front."""
    known = sorted(
        (run for run in runs if run.front and run.val_loss is not None),
        key=lambda run: (run.val_loss or 0.0, run.params or 0, run.run_id or ""),
    )
    return known[(len(known) - 1) // 2] if known else None


def chosen(run: RunSummary) -> int | None:
    """Return the place of the found size on the front of a run."""
    places = (n for n, rung in enumerate(run.front) if rung.params == run.params)
    return next(places, None)


def about_front(run: RunSummary, *, several: bool) -> list[str]:
    """Say what the sizes of a run cost in loss: the best, a half and a quarter.

    Args:
        run: The run.
        several: Whether it is one of several, so that it is said which.
    """
    place, least = chosen(run), run.found.best
    if place is None or least is None or len(run.front) < 2:
        return []
    first, last, found = run.front[0], run.front[-1], run.front[place]
    which = f"The run of median loss, {run.run_id}," if several else "The run"
    said = (
        f"{which} went down from {widths(first.hidden)} units to {widths(last.hidden)} "
        f"and left {len(run.front)} networks. "
    )
    if place == least:
        said += "The found one has the least loss."
    else:
        ahead = run.front[least]
        said += (
            f"The least loss is {number(ahead.val_loss)}, with {widths(ahead.hidden)} "
            f"units ({ahead.params} parameters): the found network is {_above(found)} "
            "above it."
        )
    parts = {"half of its parameters": 2, "a quarter": 4}
    costs = [
        f"at most {name} ({widths(rung.hidden)} units), {_above(rung)}"
        for name, part in parts.items()
        if (rung := _largest(run.front, found.params / part)) is not None
    ]
    if costs:
        said += f" With {'; with '.join(costs)}."
    return [said]


def _largest(front: Sequence[RungRow], most: float) -> RungRow | None:
    """Return the largest network with at most so many parameters."""
    small = [rung for rung in front if rung.params <= most]
    return max(small, key=lambda rung: rung.params, default=None)


def _above(rung: RungRow) -> str:
    return f"{rung.gap:.4f} ± {rung.gap_se:.4f}"

"""A scan: how the self-found width follows from the number of training examples.

``fit.slope`` is in hidden units per tenfold of examples; ``fit.log_log.slope`` is the
exponent of a power law. ``sensitivity`` has both without the least and without the
greatest size: a law would not care. Only converged cells that grew are fitted: a width
that a cap, a budget or the start has chosen says nothing of the data.
"""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from senn_ray.analysis.job import Job
from senn_ray.analysis.results import (
    Caveat,
    Cell,
    Fit,
    Line,
    ScanSummary,
    Sensitivity,
    Size,
    SizeCells,
    decisive,
    limiting,
    note,
)
from senn_ray.analysis.sizes import LEAST_SEEDS, oracle_rows, paired_by_size
from senn_ray.analysis.statistics import rank_correlation
from senn_ray.analysis.trend import Point, forms, log_log_trend, trend
from senn_ray.config import ScanConfig
from senn_ray.core.errors import ConfigError, DataError
from senn_ray.core.fronts import best
from senn_ray.core.records import FAULTY, RunRecord
from senn_ray.search.plan import GRID

Cells = Sequence[Cell]
NO_LINE = Line(slope=None, low=None, high=None, straight_p=None)
LEAST_SIZES = 3
BENT = 0.05
FEW_SUBSETS = 3
_LEFT_OUT = {
    "cap_hit": "hit the cap (model.max_hidden, or model.max_depth); raise it",
    "budget": "did not converge within their budget; raise train.epochs",
    "diverged": "diverged; lower train.lr or raise train.damping",
    "error": "failed",
}


def settle(asked: ScanConfig, most: int) -> ScanConfig:
    """Return the settings of a scan with the sizes that it visits, ascending.

    Args:
        asked: What the user asked for; no sizes for 10, 30, 100, 300, ... and all.
        most: The most examples per class that every class can give; to ask for more
            is a ``DataError``.

    Raises:
        ConfigError: if an oracle is wanted where no cell is.
    """
    sizes = _choose_sizes(asked.per_class, most)
    for size in asked.oracle:
        if size not in sizes:
            raise ConfigError(
                f"scan.oracle={size} is not among the sizes of the scan, "
                f"{', '.join(map(str, sizes))}; add it to scan.per_class"
            )
    return asked.model_copy(update={"per_class": sizes})


def _choose_sizes(asked: Sequence[Size], most: int) -> tuple[Size, ...]:
    numbers = sorted(size for size in asked if size != "all")
    if numbers and numbers[-1] > most:
        raise DataError(
            f"scan.per_class={numbers[-1]}: the rarest class has {most} examples left "
            f"for training; use at most {most}, or 'all'"
        )
    if not asked:
        grid = (m * 10**e for e in range(1, 10) for m in (1, 3))
        numbers = [size for size in grid if size < most]
    return (*numbers, "all") if "all" in asked or not asked else tuple(numbers)


def scan_summary(job: Job, **shared: Any) -> ScanSummary:
    """Summarise a scan; ``shared`` is what the summaries of all verbs have."""
    cells = scan_cells(job)
    fit = scan_fit(cells)
    shared["caveats"] = (*shared["caveats"], *_caveats(job, cells, fit))
    return ScanSummary(
        per_class=job.config.scan.per_class,
        subset_seeds=job.config.scan.subset_seeds,
        cells=cells,
        by_size=by_size(cells),
        fit=fit,
        oracle=oracle_rows(job),
        paired_by_size=tuple(paired_by_size(job)),
        **shared,
    )


def scan_cells(job: Job) -> tuple[Cell, ...]:
    """List the finished cells, by size and subset seed."""
    # The number of classes follows from any cell of a known number per class.
    known = (r for r in job.senn if r.per_class != "all" and r.n_train)
    classes = next((r.n_train // int(r.per_class) for r in known), None)
    first = job.config.data.subset_seed
    cells = [_cell(record, first + record.trial, classes) for record in job.senn]
    return tuple(sorted(cells, key=lambda c: (_order(c.per_class), c.subset_seed)))


def by_size(cells: Cells) -> tuple[SizeCells, ...]:
    """Collect the cells of each size; widths of converged cells only."""
    sizes = dict.fromkeys(cell.per_class for cell in cells)
    return tuple(_row([c for c in cells if c.per_class == size]) for size in sizes)


def scan_fit(cells: Cells) -> Fit:
    """Fit width, and log width, against log examples, to the converged cells that grew.

    Returns:
        The fits; without numbers if fewer than three sizes have converged.
    """
    points = [
        Point(
            examples=cell.examples_per_class,
            width=cell.hidden_total,
            subset=cell.subset_seed,
        )
        for cell in cells
        if cell.converged
        and not _never_grew(cell)
        and cell.examples_per_class
        and cell.hidden_total
    ]
    enough = len({point.examples for point in points}) >= LEAST_SIZES
    line = trend(points) if enough else NO_LINE
    examples, widths = [p.examples for p in points], [p.width for p in points]
    return Fit(
        slope=line.slope,
        low=line.low,
        high=line.high,
        straight_p=line.straight_p,
        spearman=rank_correlation(examples, widths) if enough else None,
        cells=len(points),
        excluded=len(cells) - len(points),
        log_log=log_log_trend(points) if enough else NO_LINE,
        forms=forms(points) if enough else None,
        sensitivity=_sensitivity(points) if enough else (),
    )


def _never_grew(cell: Cell) -> bool:
    """Tell whether a cell has the width it began with: the data may want less."""
    return cell.hidden == cell.hidden_start


def _sensitivity(points: Sequence[Point]) -> tuple[Sensitivity, ...]:
    """Fit again without the least and without the greatest size, if enough are left."""
    sizes = sorted({point.examples for point in points})
    if len(sizes) <= LEAST_SIZES:
        return ()
    rows = []
    for size in (sizes[0], sizes[-1]):
        kept = [point for point in points if point.examples != size]
        slope, exponent = trend(kept).slope, log_log_trend(kept).slope
        rows.append(Sensitivity(without=size, slope=slope, exponent=exponent))
    return tuple(rows)


def _cell(record: RunRecord, subset_seed: int, classes: int | None) -> Cell:
    return Cell(
        per_class=record.per_class,
        subset_seed=subset_seed,
        seed=record.seed,
        run_id=record.run_id,
        n_train=record.n_train,
        examples_per_class=record.n_train / classes if classes else None,
        hidden=record.hidden,
        hidden_start=record.hidden_start,
        hidden_total=sum(record.hidden),
        best_hidden_total=sum(record.front[best(record.front)].hidden)
        if record.front
        else None,
        params=record.params,
        val_loss=record.val_loss,
        test_accuracy=record.test_accuracy,
        run_state=record.state,
        stop_reason=record.stop_reason,
        converged=record.stop_reason == "converged",
        steps=record.cost.steps,
        wall_s=record.wall_s,
        device_s=record.cost.device_s,
        error=record.error,
    )


def _row(cells: Cells) -> SizeCells:
    widths = [cell.hidden_total for cell in cells if cell.converged]
    return SizeCells(
        per_class=cells[0].per_class,
        examples_per_class=cells[0].examples_per_class,
        n_train=cells[0].n_train,
        runs=len(cells),
        converged=len(widths),
        hidden=tuple(cell.hidden_total for cell in cells),
        hidden_median=statistics.median(widths) if widths else None,
        hidden_min=min(widths, default=None),
        hidden_max=max(widths, default=None),
        spread=max(widths) / min(widths) if widths else None,
        best_hidden_median=_median([c.best_hidden_total for c in cells if c.converged]),
        val_loss=_median([cell.val_loss for cell in cells]),
        test_accuracy=_median([cell.test_accuracy for cell in cells]),
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _order(size: Size) -> float:
    return float("inf") if size == "all" else size


def _caveats(job: Job, cells: Cells, fit: Fit) -> Iterator[Caveat]:
    scan, total = job.config.scan, len(cells)
    for reason, text in _LEFT_OUT.items():
        if count := sum(cell.stop_reason == reason for cell in cells):
            yield limiting(f"{count} of {total} cells {text}. They are not in the fit")
    small = [cell for cell in cells if cell.converged and _never_grew(cell)]
    if small:
        yield limiting(
            f"{len(small)} of {total} cells never grew beyond model.hidden, which is then "
            "the start's choice; lower it. They are not in the fit"
        )
    bad = sum(record.state in FAULTY for record in job.of(GRID))
    if bad:
        yield limiting(f"{bad} runs of the oracle diverged or failed")
    missing = len(scan.per_class) * scan.subset_seeds - total
    if missing:
        yield decisive(f"{missing} cells are not finished")
    yield from _about_fit(fit)
    yield from _about_design(scan)


def _about_fit(fit: Fit) -> Iterator[Caveat]:
    if fit.slope is None:
        yield decisive(f"no fit: it takes converged cells of {LEAST_SIZES} sizes")
    lines: dict[str, Line] = {
        "width against log examples": fit,
        "a power law": fit.log_log,
    }
    for name, line in lines.items():
        if line.straight_p is not None and line.straight_p < BENT:
            yield decisive(
                f"{name} is not a straight line here (lack of fit, "
                f"p = {line.straight_p:.1g}): its slope is a mean over the scan, not a law"
            )


def _about_design(scan: ScanConfig) -> Iterator[Caveat]:
    if scan.subset_seeds < FEW_SUBSETS:
        yield limiting(
            f"{scan.subset_seeds} subset seeds give no useful interval; raise "
            "scan.subset_seeds"
        )
    if scan.oracle and scan.subset_seeds < LEAST_SEEDS:
        yield limiting(
            f"no smallest sufficient width: it takes {LEAST_SEEDS} subset seeds"
        )
    if "all" in scan.per_class:
        yield note(
            "with all examples the subset is always the same: cells differ in their "
            "initialisation and order only"
        )
    yield note(
        "steps grow with the data (train.epochs), so part of the trend may be that of "
        "longer training"
    )

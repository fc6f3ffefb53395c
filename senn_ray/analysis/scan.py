"""A scan: how the self-found width follows from the number of training examples.

``summary.json`` of ``scan`` (design, section 5)::

    verb state exit_code dataset seed per_class[] subset_seeds
    cells[{per_class, subset_seed, seed, run_id, n_train, examples_per_class, hidden,
           hidden_start, hidden_total, params, val_loss, test_accuracy, run_state, stop_reason,
           converged, steps, wall_s, device_s, error}]
    by_size[{per_class, examples_per_class, n_train, runs, converged, hidden[],
             hidden_median, hidden_min, hidden_max, spread, val_loss, test_accuracy}]
    fit{slope, low, high, straight_p, spearman, cells, excluded,
        log_log{slope, low, high, straight_p},
        forms{chosen, weight, power_law{...}, saturating{...}} (see ``forms.py``) or null,
        sensitivity[{without, slope, exponent}]}
    oracle[...]   (see ``senn_ray/analysis/oracle.py``)   caveats[]
    paired_by_size[{per_class, arm, hidden[], ...}]   (see ``paired.py``)

``fit.slope`` is in hidden units per tenfold of examples; ``fit.log_log.slope`` is the
exponent of a power law; ``straight_p`` is the p-value of a straight line (lack of fit).
``sensitivity`` has both without the least and without the greatest size: a law would
not care. Only converged cells that grew are fitted: a width that a cap, a budget or the
start has chosen says nothing of the data.
"""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from senn_ray.analysis.job import Job
from senn_ray.analysis.ledger import ledger
from senn_ray.analysis.oracle import oracle_rows
from senn_ray.analysis.paired import paired_by_size
from senn_ray.analysis.sizes import LEAST_SEEDS
from senn_ray.analysis.trend import Point, log_log_trend, trend
from senn_ray.analysis.trend_models import forms
from senn_ray.config import ScanConfig
from senn_ray.core.errors import ConfigError, DataError
from senn_ray.core.records import FAULTY, RunRecord
from senn_ray.search.plan import GRID

Size = int | Literal["all"]
Cells = Sequence[dict[str, Any]]
LEAST_SIZES = 3
BENT = 0.05
FEW_SUBSETS = 3
_LEFT_OUT = {
    "cap_hit": "hit the cap model.max_hidden; raise it",
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


def scan_summary(job: Job) -> dict[str, Any]:
    """Summarise a scan.

    Args:
        job: The job.
    """
    cells = scan_cells(job)
    fit = scan_fit(cells)
    scan = job.config.scan
    return {
        "verb": "scan",
        "state": job.ended.state,
        "exit_code": job.ended.exit_code,
        "dataset": job.config.data.dataset,
        "seed": job.config.seed,
        "per_class": list(scan.per_class),
        "subset_seeds": scan.subset_seeds,
        "cells": cells,
        "by_size": by_size(cells),
        "fit": fit,
        "oracle": oracle_rows(job),
        "paired_by_size": paired_by_size(job),
        "ledger": ledger(job),
        "caveats": _caveats(job, cells, fit),
    }


def scan_cells(job: Job) -> list[dict[str, Any]]:
    """List the finished cells, by size and subset seed.

    Args:
        job: The job.
    """
    classes = _classes(job.senn)
    first = job.config.data.subset_seed
    cells = [_cell(record, first + record.trial, classes) for record in job.senn]
    return sorted(cells, key=lambda c: (_order(c["per_class"]), c["subset_seed"]))


def by_size(cells: Cells) -> list[dict[str, Any]]:
    """Collect the cells of each size; widths of converged cells only.

    Args:
        cells: What ``scan_cells`` gave.
    """
    sizes = dict.fromkeys(cell["per_class"] for cell in cells)
    return [_row([c for c in cells if c["per_class"] == size]) for size in sizes]


def scan_fit(cells: Cells) -> dict[str, Any]:
    """Fit width, and log width, against log examples, to the converged cells that grew.

    Args:
        cells: What ``scan_cells`` gave.

    Returns:
        The fits; without numbers if fewer than three sizes have converged.
    """
    points = [
        Point(
            examples=cell["examples_per_class"],
            width=cell["hidden_total"],
            subset=cell["subset_seed"],
        )
        for cell in cells
        if cell["converged"]
        and not _never_grew(cell)
        and cell["examples_per_class"]
        and cell["hidden_total"]
    ]
    counts = {"cells": len(points), "excluded": len(cells) - len(points)}
    unknown = dict.fromkeys(("slope", "low", "high", "straight_p"))
    if len({point.examples for point in points}) < LEAST_SIZES:
        nothing = {"log_log": unknown, "forms": None, "sensitivity": []}
        return {**unknown, "spearman": None, **counts, **nothing}
    return {
        **trend(points),
        **counts,
        "log_log": log_log_trend(points),
        "forms": forms(points),
        "sensitivity": _sensitivity(points),
    }


def _never_grew(cell: dict[str, Any]) -> bool:
    """Tell whether a cell has the width it began with: the data may want less."""
    return cell["hidden"] == cell["hidden_start"]


def _sensitivity(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Fit again without the least and without the greatest size, if enough are left."""
    sizes = sorted({point.examples for point in points})
    if len(sizes) <= LEAST_SIZES:
        return []
    rows = []
    for size in (sizes[0], sizes[-1]):
        kept = [point for point in points if point.examples != size]
        slope, exponent = trend(kept)["slope"], log_log_trend(kept)["slope"]
        rows.append({"without": size, "slope": slope, "exponent": exponent})
    return rows


def _classes(records: Iterable[RunRecord]) -> int | None:
    """Tell the number of classes from any cell of a known number per class."""
    known = (r for r in records if r.per_class != "all" and r.n_train)
    return next((r.n_train // int(r.per_class) for r in known), None)


def _cell(record: RunRecord, subset_seed: int, classes: int | None) -> dict[str, Any]:
    names = ("per_class", "seed", "run_id", "n_train", "params", "val_loss")
    more = ("test_accuracy", "stop_reason", "wall_s", "error")
    return {
        **{name: getattr(record, name) for name in (*names, *more)},
        "subset_seed": subset_seed,
        "examples_per_class": record.n_train / classes if classes else None,
        "hidden": list(record.hidden),
        "hidden_start": list(record.hidden_start),
        "hidden_total": sum(record.hidden),
        "run_state": record.state,
        "converged": record.stop_reason == "converged",
        "steps": record.cost.steps,
        "device_s": record.cost.device_s,
    }


def _row(cells: Cells) -> dict[str, Any]:
    widths = [cell["hidden_total"] for cell in cells if cell["converged"]]
    shared = ("per_class", "examples_per_class", "n_train")
    return {
        **{name: cells[0][name] for name in shared},
        "runs": len(cells),
        "converged": len(widths),
        "hidden": [cell["hidden_total"] for cell in cells],
        "hidden_median": statistics.median(widths) if widths else None,
        "hidden_min": min(widths, default=None),
        "hidden_max": max(widths, default=None),
        "spread": max(widths) / min(widths) if widths else None,
        "val_loss": _median(cells, "val_loss"),
        "test_accuracy": _median(cells, "test_accuracy"),
    }


def _median(cells: Cells, name: str) -> float | None:
    values = [cell[name] for cell in cells if cell[name] is not None]
    return statistics.median(values) if values else None


def _order(size: Size) -> float:
    return float("inf") if size == "all" else size


def _caveats(job: Job, cells: Cells, fit: dict[str, Any]) -> list[str]:
    said, total = [], len(cells)
    for reason, text in _LEFT_OUT.items():
        if count := sum(cell["stop_reason"] == reason for cell in cells):
            said.append(f"{count} of {total} cells {text}. They are not in the fit")
    small = [cell for cell in cells if cell["converged"] and _never_grew(cell)]
    if small:
        said.append(
            f"{len(small)} of {total} cells never grew beyond model.hidden, which is then "
            "the start's choice; lower it. They are not in the fit"
        )
    bad = sum(record.state in FAULTY for record in job.of(GRID))
    if bad:
        said.append(f"{bad} runs of the oracle diverged or failed")
    scan = job.config.scan
    missing = len(scan.per_class) * scan.subset_seeds - total
    if missing:
        said.append(f"{missing} cells are not finished")
    if fit["slope"] is None:
        said.append(f"no fit: it takes converged cells of {LEAST_SIZES} sizes")
    said += _bends(fit)
    if scan.subset_seeds < FEW_SUBSETS:
        said.append(
            f"{scan.subset_seeds} subset seeds give no useful interval; raise "
            "scan.subset_seeds"
        )
    if scan.oracle and scan.subset_seeds < LEAST_SEEDS:
        said.append(
            f"no smallest sufficient width: it takes {LEAST_SEEDS} subset seeds"
        )
    if "all" in scan.per_class:
        said.append(
            "with all examples the subset is always the same: cells differ in their "
            "initialisation and order only"
        )
    said.append(
        "steps grow with the data (train.epochs), so part of the trend may be that of "
        "longer training"
    )
    return said


def _bends(fit: dict[str, Any]) -> list[str]:
    lines = {"width against log examples": fit, "a power law": fit["log_log"]}
    return [
        f"{name} is not a straight line here (lack of fit, p = {p:.1g}): its slope is "
        "a mean over the scan, not a law"
        for name, line in lines.items()
        if (p := line["straight_p"]) is not None and p < BENT
    ]

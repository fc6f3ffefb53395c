"""Several jobs side by side: one page, and the data of its figures as CSV."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from senn_ray.core import files
from senn_ray.report import page, view
from senn_ray.report.formatting import UNKNOWN, interval, number, widths
from senn_ray.report.table import Table
from senn_ray.report.view import Shown

CURRENCIES = {"runs": "runs", "device_s": "device seconds"}
TARGETS = {"quality_at_size": "Quality at size", "quality": "Quality"}


def write(jobs: Sequence[Shown], target: Path) -> Path:
    """Write the page of several jobs.

    Args:
        jobs: Names that differ, and contents of ``summary.json``.
        target: A folder; ``index.html`` and ``figures/`` come into it.

    Returns:
        The page.
    """
    from senn_ray.report import several_figures

    drawn = [several_figures.scans(jobs), several_figures.rates(jobs)]
    figures = [figure for figure in drawn if figure]
    (target / "figures").mkdir(parents=True, exist_ok=True)
    for figure in figures:
        page.write_figure(target / "figures", figure)
    text = page.fill_in(
        "several.html",
        jobs=[
            {
                "name": job.name,
                "verb": job.summary["verb"],
                "sentences": view.headline(job.summary),
                "caveats": job.summary.get("caveats") or [],
            }
            for job in jobs
        ],
        tables=tables(jobs),
        figures=figures,
    )
    files.write_text(target / "index.html", text)
    return target / "index.html"


def tables(jobs: Sequence[Shown]) -> list[Table]:
    """Lay jobs side by side; what none of them has is left out.

    Args:
        jobs: The jobs.
    """
    compared = [job for job in jobs if job.summary["verb"] == "compare"]
    scanned = [job for job in jobs if job.summary["verb"] == "scan"]
    rates = [
        _rates(compared, target, currency)
        for target in TARGETS
        for currency in CURRENCIES
    ]
    found = [_jobs(jobs), *rates, _sizes(compared), _scans(scanned)]
    return [table for table in found if table.rows]


def names_of(places: Sequence[str]) -> list[str]:
    """Give run folders short names that differ.

    Args:
        places: Paths or URIs.
    """
    parts = [place.rstrip("/").split("/") for place in places]
    length = 1
    while len({tuple(p[-length:]) for p in parts}) < len({*map(tuple, parts)}):
        length += 1
    return ["/".join(p[-length:]) for p in parts]


def _jobs(jobs: Sequence[Shown]) -> Table:
    columns = (
        "job", "verb", "data set", "seed", "state", "self-found units",
        "validation loss", "test accuracy",
    )  # fmt: skip
    rows = []
    for job in jobs:
        values = job.summary
        size = ((values.get("size") or {}).get("senn")) or {}
        accuracy = values.get("test_accuracy", size.get("test_accuracy"))
        rows.append((
            job.name,
            values["verb"],
            values["dataset"],
            str(values["seed"]),
            values["state"],
            interval(size) if size else widths(values.get("hidden")),
            number(values.get("val_loss", size.get("val_loss"))),
            UNKNOWN if accuracy is None else f"{accuracy:.2%}",
        ))
    return Table(title="Jobs", columns=columns, rows=tuple(rows))


def _rates(jobs: Sequence[Shown], target: str, currency: str) -> Table:
    arms = dict.fromkeys(
        arm for job in jobs for arm in job.summary["exchange_rate"][target]
    )
    rows = [
        (arm, *(interval(_rate(job, target, arm, currency)) for job in jobs))
        for arm in arms
    ]
    title = (
        f"{TARGETS[target]}: how many times more {CURRENCIES[currency]} an arm needs"
    )
    return _table(title, "arm", jobs, rows)


def _rate(job: Shown, target: str, arm: str, currency: str) -> Mapping[str, Any] | None:
    return job.summary["exchange_rate"][target].get(arm, {}).get(currency)


def _sizes(jobs: Sequence[Shown]) -> Table:
    rows = [
        (text, *(interval((job.summary.get("size") or {}).get(name)) for job in jobs))
        for name, text in view.SIZES.items()
        if any((job.summary.get("size") or {}).get(name) for job in jobs)
    ]
    return _table("Sizes in hidden units", "network", jobs, rows)


def _scans(jobs: Sequence[Shown]) -> Table:
    medians = [
        {row["per_class"]: row["hidden_median"] for row in job.summary["by_size"]}
        for job in jobs
    ]
    sizes = {size for found in medians for size in found}
    ordered = sorted(
        sizes, key=lambda size: (size == "all", size if size != "all" else 0)
    )
    rows = [
        (str(size), *(widths(found.get(size)) for found in medians)) for size in ordered
    ]
    title = "Hidden units by training examples per class (medians of converged runs)"
    return _table(title, "examples per class", jobs, rows)


def _table(
    title: str, first: str, jobs: Sequence[Shown], rows: list[tuple[str, ...]]
) -> Table:
    columns = (first, *(job.name for job in jobs))
    return Table(title=title, columns=columns, rows=tuple(rows))

"""Several jobs side by side: one page, and the data of its figures as CSV."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from senn_ray.analysis.results import CompareSummary, GrowSummary, ScanSummary
from senn_ray.core import files
from senn_ray.report import page, view
from senn_ray.report.answer import answer
from senn_ray.report.formatting import TARGET_NAMES, UNKNOWN, interval, number, widths
from senn_ray.report.table import Table
from senn_ray.report.view import Shown
from senn_ray.search.targets import TARGETS, Currency, TargetName

Compared = dict[str, CompareSummary]
Scanned = dict[str, ScanSummary]
CURRENCIES: dict[Currency, str] = {"runs": "runs", "device_s": "device seconds"}


def write(jobs: Sequence[Shown], target: Path) -> Path:
    """Write the page of several jobs.

    Args:
        jobs: Names that differ, and their summaries.
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
                "verb": job.summary.verb,
                "sentences": answer(job.summary),
                "caveats": job.summary.caveats,
            }
            for job in jobs
        ],
        tables=tables(jobs),
        figures=figures,
    )
    files.write_text(target / "index.html", text)
    return target / "index.html"


def tables(jobs: Sequence[Shown]) -> list[Table]:
    """Lay jobs side by side; what none of them has is left out."""
    compared, scanned = Compared(), Scanned()
    for job in jobs:
        match job.summary:
            case CompareSummary():
                compared[job.name] = job.summary
            case ScanSummary():
                scanned[job.name] = job.summary
            case GrowSummary():
                pass
    rates = [
        _rates(compared, target, currency)
        for target in reversed(TARGETS)
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
        found, loss, accuracy = UNKNOWN, None, None
        match values:
            case GrowSummary():
                found = widths(values.hidden)
                loss, accuracy = values.val_loss, values.test_accuracy
            case CompareSummary() if size := values.size.senn:
                found = interval(size)
                loss, accuracy = size.val_loss, size.test_accuracy
            case _:
                pass
        rows.append((
            job.name,
            values.verb,
            values.dataset,
            str(values.seed),
            values.state,
            found,
            number(loss),
            UNKNOWN if accuracy is None else f"{accuracy:.2%}",
        ))
    return Table(title="Jobs", columns=columns, rows=tuple(rows))


def _rates(jobs: Compared, target: TargetName, currency: Currency) -> Table:
    found = [job.exchange_rate[target] for job in jobs.values()]
    arms = dict.fromkeys(arm for rates in found for arm in rates)
    rows = [
        (arm, *(interval(rates.get(arm, {}).get(currency)) for rates in found))
        for arm in arms
    ]
    title = (
        f"{TARGET_NAMES[target]}: how many times more {CURRENCIES[currency]} an arm "
        "needs"
    )
    return _table(title, "arm", jobs, rows)


def _sizes(jobs: Compared) -> Table:
    found = {
        text: [getattr(job.size, name) for job in jobs.values()]
        for name, text in view.SIZES.items()
    }
    rows = [
        (text, *map(interval, sizes)) for text, sizes in found.items() if any(sizes)
    ]
    return _table("Sizes in hidden units", "network", jobs, rows)


def _scans(jobs: Scanned) -> Table:
    medians = [
        {row.per_class: row.hidden_median for row in job.by_size}
        for job in jobs.values()
    ]
    sizes = {size for found in medians for size in found}
    ordered = sorted(sizes, key=lambda size: math.inf if size == "all" else size)
    rows = [
        (str(size), *(widths(found.get(size)) for found in medians)) for size in ordered
    ]
    title = "Hidden units by training examples per class (medians of converged runs)"
    return _table(title, "examples per class", jobs, rows)


def _table(
    title: str, first: str, jobs: Iterable[str], rows: list[tuple[str, ...]]
) -> Table:
    return Table(title=title, columns=(first, *jobs), rows=tuple(rows))

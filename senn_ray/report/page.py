"""The report: one page without network access, and the data of every figure as CSV.

``protocol.json`` and ``manifest.json`` of the run folder are read, if they are there.
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from senn_ray.analysis.results import CompareSummary, GrowSummary, ScanSummary, Summary
from senn_ray.core import files
from senn_ray.core.errors import DataError
from senn_ray.core.events import Event, JobStarted, outcomes
from senn_ray.core.records import RunRecord, order_of
from senn_ray.report import detail, view
from senn_ray.report.answer import answer, foremost
from senn_ray.report.traces import Traces, by_weight, traces

if TYPE_CHECKING:
    from senn_ray.report.drawing import Figure

FOLDER = "report"
_UNFINISHED = {
    "running": "This job is not over.",
    "interrupted": "This job was interrupted.",
    "stopped": "This job was stopped before its end.",
    "budget": "This job ended when its budget was used up.",
    "failed": "This job failed.",
}


def write(folder: Path, events: Sequence[Event], summary: Summary) -> Path:
    """Write the report of a run folder, also of a job that is not over.

    Args:
        folder: The run folder.
        events: What ``journal.read`` gave.
        summary: The summary of the same job.

    Returns:
        The page, ``report/index.html``.
    """
    finished = outcomes(events)
    records = sorted(finished, key=order_of)
    growth, overall = _draw(records, summary)
    first, rest = foremost(summary.caveats)
    target = folder / FOLDER
    (target / "figures").mkdir(parents=True, exist_ok=True)
    for figure in [*growth.inline, *overall]:
        write_figure(target / "figures", figure)
    for figure in growth.apart:
        write_figure(target / "figures", figure, apart=True)
    page = fill_in(
        "page.html",
        folder=folder.absolute().name,
        notice=_UNFINISHED.get(summary.state),
        summary=summary,
        answer=answer(summary),
        foremost=first,
        fine_print=rest,
        verdicts=view.verdict_tables(summary),
        costs=detail.cost_tables(summary),
        closer=detail.closer_tables(summary),
        overall=overall,
        growth=growth,
        runs=view.runs_table(records),
        facts=view.facts(
            summary,
            records,
            where=_where(events),
            protocol=_load(folder, "protocol.json"),
            manifest=_load(folder, "manifest.json"),
        ),
    )
    files.write_text(target / "index.html", page)
    return target / "index.html"


def _draw(
    records: Sequence[RunRecord], summary: Summary
) -> tuple[Traces, list["Figure"]]:
    """Draw the figures of single runs, and those of the job."""
    from senn_ray.report import (
        compare_figures,
        compared_fronts,
        front_figures,
        growth_figures,
        scan_figure,
        target_figures,
    )

    grown = [r for r in records if r.kind == "grow"]
    is_scan = isinstance(summary, ScanSummary)
    match summary:
        case ScanSummary():
            candidates = [
                scan_figure.width_against_examples(summary),
                scan_figure.found_and_best(summary),
                front_figures.fronts_by_size(records),
            ]
        case CompareSummary():
            candidates = [
                compare_figures.size_against_loss(records, summary),
                compared_fronts.fronts(summary.fronts),
                compare_figures.best_so_far(summary),
                target_figures.over_targets(summary.over_targets),
            ]
        case GrowSummary():
            # Runs of before fronts have their final size alone.
            front = front_figures.fronts(records)
            candidates = [front or compare_figures.size_against_loss(records, summary)]
    ours = [record for record in grown if record.arm == "senn"]
    candidates.append(growth_figures.promises(ours, summary.promises))
    traced = _one_per_size(grown) if is_scan else by_weight(grown)
    return traces(traced), [figure for figure in candidates if figure]


def _one_per_size(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Choose the first cell of each size: traces of all would make a heavy page."""
    return list({r.per_class: r for r in reversed(records)}.values())[::-1]


def write_figure(folder: Path, figure: "Figure", *, apart: bool = False) -> None:
    """Write the data of a figure, and its picture if it is wanted outside the page.

    Args:
        folder: Where.
        figure: The figure.
        apart: Whether the page does not hold the figure, so that it must be a file.
    """
    from senn_ray.report.standalone import standalone

    files.write_text(folder / f"{figure.name}.csv", _as_csv(figure))
    if figure.png:
        files.write_bytes(folder / f"{figure.name}.png", figure.png)
    if figure.png or apart:
        files.write_text(folder / f"{figure.name}.svg", standalone(figure.svg))


def fill_in(template: str, **content: Any) -> str:
    """Fill in a template of this package."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("senn_ray", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**content)


def _where(events: Sequence[Event]) -> str:
    return next((e.where for e in events if isinstance(e, JobStarted)), "")


def _load(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"{path} is damaged ({error}); type: senn-ray report {folder}"
        ) from error


def _as_csv(figure: "Figure") -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([figure.columns, *figure.rows])
    return text.getvalue()

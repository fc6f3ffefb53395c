"""Tables of what is behind a result: costs, pairs of seeds, forms of a trend.

Plain rows of text, from the contents of ``summary.json`` alone.
"""

from collections.abc import Mapping, Sequence

from senn_ray.analysis.results import (
    CellPairs,
    CompareSummary,
    Forms,
    GrowSummary,
    LedgerRow,
    Pairs,
    ScanSummary,
    Sensitivity,
    Summary,
)
from senn_ray.core.numbers import significant
from senn_ray.report.formatting import count, difference, duration, number, share
from senn_ray.report.front_tables import rung_table
from senn_ray.report.table import Table
from senn_ray.report.target_tables import reached_table

NOT_COMPLETE = ("pruned", "diverged", "failed")
PAIRED = {
    "no_growth_at_final": "plain networks of the self-found sizes",
    "gradmax": "growth by the size of the gradient",
}
NOTES = {
    "ledger": "Every run counts once, however it ended. Sample visits hold evaluations "
    "and decisions, FLOPs hold linear algebra. Wasted is what lost workers had used "
    "already; it is in no other column. k, M, G, T: thousands, millions, billions, "
    "trillions.",
    "paired": "Each run is compared with the self-expanding run of the same seed. Above "
    "0, self-expanding runs have the lower loss. In brackets: 95 % intervals.",
    "forms": "Both are fitted to the logarithms of the widths. The lower AICc fits "
    "better; the weight is that of the better one among the two.",
    "sensitivity": "A law would not care which sizes were visited.",
}


def cost_tables(summary: Summary) -> list[Table]:
    """Lay out what was spent."""
    return _filled([_ledger(summary.ledger)])


def closer_tables(summary: Summary) -> list[Table]:
    """Lay out pairs of seeds, and forms of a trend."""
    match summary:
        case CompareSummary():
            reached = reached_table(summary.over_targets)
            rungs = rung_table(summary.fronts)
            return _filled([rungs, reached, _paired(summary.paired)])
        case ScanSummary():
            return _filled([
                _paired_by_size(summary.paired_by_size),
                _forms(summary.fit.forms),
                _sensitivity(summary.fit.sensitivity),
            ])
        case GrowSummary():
            return []


def _filled(tables: Sequence[Table]) -> list[Table]:
    return [table for table in tables if table.rows]


def _ledger(rows: Mapping[str, LedgerRow]) -> Table:
    return Table(
        title="What was spent",
        columns=(
            "arm", "runs", "not complete", "steps", "sample visits", "FLOPs",
            "device time", "of it growth", "wasted",
        ),
        rows=tuple(
            (
                arm,
                count(row.runs),
                count(sum(getattr(row, state) for state in NOT_COMPLETE)),
                *(count(getattr(row, name)) for name in ("steps", "sample_visits", "flops")),
                *(duration(getattr(row, name)) for name in ("device_s", "growth_s")),
                duration(row.wasted_device_s),
            )
            for arm, row in rows.items()
            if row.runs or row.wasted_device_s
        ),
        note=NOTES["ledger"],
    )  # fmt: skip


def _paired(arms: Mapping[str, Pairs]) -> Table:
    return Table(
        title="Seed by seed against self-expanding runs",
        columns=(
            "arm", "pairs", "validation loss, difference", "lower loss in",
            "test loss, difference", "parameters ×",
        ),
        rows=tuple(
            (PAIRED.get(arm, arm), *_differences(row)) for arm, row in arms.items()
        ),
        note=NOTES["paired"],
    )  # fmt: skip


def _paired_by_size(rows: Sequence[CellPairs]) -> Table:
    return Table(
        title="Cell by cell against self-expanding runs",
        columns=(
            "examples per class", "arm", "hidden units", "pairs",
            "validation loss, difference", "lower loss in", "test loss, difference",
            "parameters ×",
        ),
        rows=tuple(
            (
                str(row.per_class),
                PAIRED.get(row.arm, row.arm),
                " ".join(map(str, row.hidden)),
                *_differences(row),
            )
            for row in rows
        ),
        note=NOTES["paired"],
    )  # fmt: skip


def _differences(row: Pairs) -> tuple[str, ...]:
    return (
        str(row.pairs),
        difference(row),
        f"{share(row.better, 0)} [{share(row.better_low, 0)}, "
        f"{share(row.better_high, 0)}]",
        number(row.test_excess),
        significant(row.params_ratio, 2),
    )


def _forms(found: Forms | None) -> Table:
    rows = []
    if found is not None:
        law, level = found.power_law, found.saturating
        weight = {found.chosen: found.weight}
        other = 1 - found.weight
        rows = [
            (
                "power law",
                f"width = {significant(law.at_one, 3)} · "
                f"examples^{significant(law.exponent, 3)}",
                f"{law.aicc:.1f}",
                share(weight.get("power_law", other), 0),
            ),
            (
                "levels off",
                f"width = {significant(level.limit, 3)} / "
                f"(1 + {significant(level.half, 3)} / examples)",
                f"{level.aicc:.1f}",
                share(weight.get("saturating", other), 0),
            ),
        ]
    return Table(
        title="Which form the trend has",
        columns=("form", "fitted, examples per class", "AICc", "weight"),
        rows=tuple(rows),
        note=NOTES["forms"],
    )


def _sensitivity(rows: Sequence[Sensitivity]) -> Table:
    return Table(
        title="The trend without its least or its greatest size",
        columns=("without, per class", "units per tenfold", "exponent"),
        rows=tuple(
            (count(row.without), number(row.slope), number(row.exponent))
            for row in rows
        ),
        note=NOTES["sensitivity"],
    )

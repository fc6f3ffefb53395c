"""Tables of what is behind a result: costs, pairs of seeds, forms of a trend.

Plain rows of text, from the contents of ``summary.json`` alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from senn_ray.report.formatting import count, duration, interval, number, share
from senn_ray.report.table import Table
from senn_ray.report.target_tables import reached_table

Summary = Mapping[str, Any]
NOT_COMPLETE = ("pruned", "diverged", "failed")
LEVELS = {"power_law": "power law", "saturating": "levels off"}
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
    """Lay out what was spent.

    Args:
        summary: Contents of ``summary.json`` of any verb.
    """
    return _filled([_ledger(summary.get("ledger") or {})])


def closer_tables(summary: Summary) -> list[Table]:
    """Lay out pairs of seeds, and forms of a trend.

    Args:
        summary: Contents of ``summary.json`` of any verb.
    """
    fit = summary.get("fit") or {}
    return _filled([
        reached_table(summary.get("over_targets") or {}),
        _paired(summary.get("paired") or {}),
        _paired_by_size(summary.get("paired_by_size") or []),
        _forms(fit.get("forms") or {}),
        _sensitivity(fit.get("sensitivity") or []),
    ])


def _filled(tables: Sequence[Table]) -> list[Table]:
    return [table for table in tables if table.rows]


def _ledger(rows: Summary) -> Table:
    return Table(
        title="What was spent",
        columns=(
            "arm", "runs", "not complete", "steps", "sample visits", "FLOPs",
            "device time", "of it growth", "wasted",
        ),
        rows=tuple(
            (
                arm,
                f"{row['runs']:g}",
                f"{sum(row[state] for state in NOT_COMPLETE):g}",
                *(count(row[name]) for name in ("steps", "sample_visits", "flops")),
                *(duration(row[name]) for name in ("device_s", "growth_s")),
                duration(row["wasted_device_s"]),
            )
            for arm, row in rows.items()
            if row["runs"] or row["wasted_device_s"]
        ),
        note=NOTES["ledger"],
    )  # fmt: skip


def _paired(arms: Summary) -> Table:
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


def _paired_by_size(rows: Sequence[Summary]) -> Table:
    return Table(
        title="Cell by cell against self-expanding runs",
        columns=(
            "examples per class", "arm", "hidden units", "pairs",
            "validation loss, difference", "lower loss in", "test loss, difference",
            "parameters ×",
        ),
        rows=tuple(
            (
                str(row["per_class"]),
                PAIRED[row["arm"]],
                " ".join(map(str, row["hidden"])),
                *_differences(row),
            )
            for row in rows
        ),
        note=NOTES["paired"],
    )  # fmt: skip


def _differences(row: Summary) -> tuple[str, ...]:
    return (
        str(row["pairs"]),
        interval({**row, "estimate": row["excess"]}),
        f"{share(row['better'], 0)} [{share(row['better_low'], 0)}, "
        f"{share(row['better_high'], 0)}]",
        number(row["test_excess"]),
        f"{row['params_ratio']:.2g}",
    )


def _forms(found: Summary) -> Table:
    said = {
        "power_law": "width = {at_one:.3g} · examples^{exponent:.3g}",
        "saturating": "width = {limit:.3g} / (1 + {half:.3g} / examples)",
    }
    return Table(
        title="Which form the trend has",
        columns=("form", "fitted, examples per class", "AICc", "weight"),
        rows=tuple(
            (
                LEVELS[name],
                said[name].format(**found[name]),
                f"{found[name]['aicc']:.1f}",
                share(_weight(found, name), 0),
            )
            for name in said
            if found
        ),
        note=NOTES["forms"],
    )


def _weight(found: Summary, name: str) -> float:
    return found["weight"] if found["chosen"] == name else 1 - found["weight"]


def _sensitivity(rows: Sequence[Summary]) -> Table:
    return Table(
        title="The trend without its least or its greatest size",
        columns=("without, per class", "units per tenfold", "exponent"),
        rows=tuple(
            (f"{row['without']:g}", number(row["slope"]), number(row["exponent"]))
            for row in rows
        ),
        note=NOTES["sensitivity"],
    )

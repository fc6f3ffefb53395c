"""Tables of the targets: who hits, at what price, and what winners are worth."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from senn_ray.analysis.results import CompareSummary, Retrained, TargetCurve
from senn_ray.report.formatting import (
    TARGET_NAMES,
    TARGET_TITLES,
    TIMES,
    UNKNOWN,
    interval,
    number,
    precise,
    widths,
)
from senn_ray.report.table import Table
from senn_ray.search.targets import TARGETS, TargetName

PLAIN = {"plain_at_senn_size": "plain, same width"}
HITS = (
    "A hit is a search that reaches the target. Runs to a hit is the expected number. "
    "Restarts saved are runs of the arm for one self-expanding run that reaches the "
    "target, less what self-expanding runs need themselves. Columns with × say how many "
    "times the cost of self-expanding runs the arm needs: above 1, growing is cheaper. "
    "In brackets: 95 % intervals; ≥ is a bound, because the arm never got there."
)
RETRAINED = (
    "Each arm's best network, trained again with fresh seeds: a winner of many runs "
    "looks better than it is. Runs of which none was chosen count as they are. Means "
    "over seeds with 95 % intervals. Test data played no part in any choice."
)
REACHED = (
    "The best loss that arms reach which never hit the target, among the networks that "
    "count for it, and the runs that this takes. An arm hits its own best at least "
    "once, which flatters it."
)


def target_tables(summary: CompareSummary) -> list[Table]:
    """Lay out the arms that reached each target, and the price in every currency."""
    tables = [
        table
        for name in TARGETS[::-1]
        if name in summary.targets and summary.arms.get(name)
        for table in (_target_table(summary, name), _rate_table(summary, name))
        if table.rows
    ]
    return [*tables[:-1], *(replace(table, note=HITS) for table in tables[-1:])]


def _target_table(summary: CompareSummary, name: TargetName) -> Table:
    target, saved = summary.targets[name], summary.restarts_saved[name]
    title = TARGET_TITLES[name].format(
        val_loss=number(target.val_loss), max_params=target.max_params
    )
    columns = ("arm", "hits", "runs to a hit", "restarts saved", "best loss", "width")
    rows = tuple(
        (
            arm,
            f"{row.hits} of {row.searches}",
            interval(row.cost_to_hit.get("runs")),
            interval(saved.get(arm)),
            number(row.best_val_loss),
            widths(row.best_hidden),
        )
        for arm, row in summary.arms[name].items()
    )
    return Table(title=title, columns=columns, rows=rows)


def _rate_table(summary: CompareSummary, name: TargetName) -> Table:
    """Show every currency of the exchange rate: one alone would be a choice."""
    rows = tuple(
        (arm, *(interval(rate.get(currency)) for currency in TIMES))
        for arm, rate in summary.exchange_rate[name].items()
    )
    title = f"{TARGET_NAMES[name]}: the cost of a hit, times what growing needs"
    return Table(title=title, columns=("arm", *TIMES.values()), rows=rows)


def retrained_table(rows: Sequence[Retrained]) -> Table:
    """Lay out what winners reach when trained again."""
    columns = (
        "arm", "best for", "hidden units", "parameters", "runs", "test loss",
        "test accuracy",
    )  # fmt: skip
    return Table(
        title="Winners trained again, on test data",
        columns=columns,
        rows=tuple(
            (
                str(PLAIN.get(row.arm, row.arm)),
                TARGET_NAMES[row.target].lower() if row.target else UNKNOWN,
                widths(row.hidden),
                str(row.params),
                str(row.seeds),
                precise(row.test_loss),
                precise(row.test_accuracy, share=True),
            )
            for row in rows
        ),
        note=RETRAINED,
    )


def reached_table(targets: Mapping[TargetName, TargetCurve]) -> Table:
    """Lay out what arms reach that never hit a headline target."""
    columns = (
        "target", "arm", "best loss", "hits", "runs to it", "of self-expanding runs",
    )  # fmt: skip
    return Table(
        title="What arms reach that never hit",
        columns=columns,
        rows=tuple(
            (
                TARGET_NAMES[name],
                arm,
                number(row.val_loss),
                f"{row.hits} of {row.searches}",
                interval(row.runs),
                interval(row.senn),
            )
            for name, known in targets.items()
            for arm, row in known.reached.items()
        ),
        note=REACHED,
    )

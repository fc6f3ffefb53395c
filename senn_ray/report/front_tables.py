"""Tables of fronts: what a front like that of growing takes, as a whole and by rung."""

from senn_ray.analysis.front_results import Against, FrontComparison, Needed
from senn_ray.analysis.results import Interval
from senn_ray.report.formatting import interval, negative, number, precise, relative
from senn_ray.report.table import Table

WHOLE = (
    "The front is the least loss at no more than each size. Hypervolume: the mean over "
    "sizes, on a logarithmic scale, of the logarithm of how many times the front is below "
    "the constant predictor. Every rung: at each size of the median growing run a loss "
    "within compare.epsilon of the growing runs' median. × counts costs of one growing "
    "run. Growing runs set these targets: about half of them reach each."
)
EQUAL = (
    "Loss of growing over that of the arm, at sizes of the median growing run, between "
    "the arm's own sizes on a line in both logarithms. Lower and higher: sizes at which "
    "that is clear. × is what one growing run costs, in costs of one search of the arm."
)
RUNGS = (
    "Runs that an arm needs until its best network of no more than this size has a loss "
    "within compare.epsilon of the growing runs' median there."
)


def front_tables(fronts: FrontComparison | None) -> list[Table]:
    """Lay out fronts as a whole, and growing against arms that prune."""
    if fronts is None or len(fronts.rungs) < 2:
        return []
    return [_whole(fronts), _against(fronts)]


def rung_table(fronts: FrontComparison | None) -> Table:
    """Lay out what every arm needs at every rung."""
    rows = fronts.rungs if fronts is not None and len(fronts.rungs) > 1 else ()
    arms = list(rows[0].arms) if rows else []
    return Table(
        title="Runs to each rung of the growing front",
        columns=("hidden units", "parameters", "growing, median", *arms),
        rows=tuple(
            (
                str(row.units),
                str(row.params),
                number(row.val_loss),
                *(interval(row.arms[arm].cost["runs"]) for arm in arms),
            )
            for row in rows
        ),
        note=RUNGS,
    )


def _whole(fronts: FrontComparison) -> Table:
    volumes = fronts.hypervolume
    title = "Whole fronts"
    if fronts.target_hypervolume is not None:
        title += f": hypervolume of a growing run {number(fronts.target_hypervolume)}"
    return Table(
        title=title,
        columns=(
            "arm", "hypervolume of a search", "of all runs", "runs to that of growing",
            "device time ×", "runs to every rung", "device time ×",
        ),
        rows=tuple(
            (
                arm,
                precise(volumes[arm].one_search if arm in volumes else None),
                number(volumes[arm].best if arm in volumes else None),
                *_needed(volumes[arm].needed if arm in volumes else None),
                *_needed(needed),
            )
            for arm, needed in fronts.every_rung.items()
        ),
        note=WHOLE,
    )  # fmt: skip


def _needed(found: Needed | None) -> tuple[str, str]:
    if found is None:
        return interval(None), interval(None)
    return interval(found.cost["runs"]), interval(found.times["device_s"])


def _against(fronts: FrontComparison) -> Table:
    return Table(
        title="Growing against pruning a wide network, at equal sizes",
        columns=(
            "arm", "from", "searches", "sizes", "loss of growing", "lower", "higher",
            "device time ×", "steps ×",
        ),
        rows=tuple(_compared(arm, row) for arm, row in fronts.against.items()),
        note=EQUAL,
    )  # fmt: skip


def _compared(arm: str, row: Against) -> tuple[str, ...]:
    ratios: tuple[Interval, Interval] = (row.device_s, row.steps)
    return (
        arm,
        str(row.units),
        str(row.searches),
        str(len(row.sizes)),
        relative(negative(row.excess)),
        str(row.better),
        str(row.worse),
        *map(interval, ratios),
    )

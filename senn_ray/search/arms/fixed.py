"""Arms whose runs are a list, whatever comes out: the largest, every width, the found."""

from collections.abc import Iterator

from senn_ray.core.records import order_of
from senn_ray.search.arms.arm import Arm, ArmState, RunRequest
from senn_ray.search.plan import GRID as GRID_NAME
from senn_ray.search.plan import NO_GROWTH, Choice, Plan, descending, plain, senn_keys


def _largest(state: ArmState) -> list[RunRequest]:
    """List the repeats; each is one complete search."""
    choice = plain(state.plan.highest)
    repeats = range(state.plan.config.baseline.repeats)
    return [RunRequest(trial=trial, choice=choice) for trial in repeats]


def _every_width(state: ArmState) -> list[RunRequest]:
    """List the runs of the grid, most expensive first.

    In a scan they are on the subsets of its cells. There the trial counts through the
    widths, and through the subset seeds of each, because seeds follow from it.
    """
    config, steps = state.plan.config, list(enumerate(widths(state.plan)))
    scan = state.plan.verb == "scan"
    repeats = config.scan.subset_seeds if scan else config.baseline.repeats
    return [
        RunRequest(
            trial=step * repeats + seed if scan else seed,
            per_class=size,
            width=width,
            choice=plain(width),
        )
        for size in (descending(config.scan.oracle) if scan else (None,))
        for step, width in reversed(steps)
        for seed in range(repeats)
    ]


def widths(plan: Plan) -> list[int]:
    """Return the widths of the grid: the start width, doubled until the cap."""
    found = [plan.lowest]
    while 2 * found[-1] <= plan.highest:
        found.append(2 * found[-1])
    return found


def _found_sizes(state: ArmState) -> list[RunRequest]:
    """List one run for each self-expanding run that completed.

    It has the same data, splits and order of batches, but starts at the final size. So
    the paired differences tell "growing found the size" from "growing trains better".
    """
    return [
        RunRequest(
            trial=record.trial,
            per_class=record.per_class,
            choice=Choice(hidden=record.hidden),
        )
        for record in sorted(state.grown, key=order_of)
        if record.state == "complete"
    ]


def _one_for_each(plan: Plan) -> Iterator[tuple[RunRequest, bool]]:
    for key in senn_keys(plan):
        yield RunRequest(trial=key.trial, per_class=key.per_class), False


MAX_ONCE = Arm(
    name="max_once",
    listed=True,
    rule="one run of the largest width",
    next_runs=_largest,
    settings=frozenset({"repeats"}),
)
GRID = Arm(
    name=GRID_NAME,
    listed=True,
    rule="in a comparison, plain networks of every doubled width, which then alone "
    "decide the smallest sufficient size; in a scan, plain networks of every doubled "
    "width, on the subsets of scan.oracle; sufficient if non-inferior to the "
    "self-expanding runs by compare.epsilon, by differences on equal subsets",
    next_runs=_every_width,
    kind="control",
    opens_test=True,
    settings=frozenset({"repeats"}),
)
NO_GROWTH_AT_FINAL = Arm(
    name=NO_GROWTH,
    rule="a plain network of the widths and the seed of each self-expanding run; told "
    "the answer, so compared in pairs and with no exchange rate",
    next_runs=_found_sizes,
    at_most=_one_for_each,
    kind="control",
    paired=True,
    opens_test=True,
    width_only=False,  # Its widths follow from the losses of self-expanding runs.
    settings=frozenset(),
)

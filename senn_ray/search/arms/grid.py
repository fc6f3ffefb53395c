"""The oracle: plain networks of every doubled width, whatever comes out."""

from senn_ray.search.plan import Plan, RunRequest, descending, plain


def wanted(plan: Plan) -> list[RunRequest]:
    """List the runs of the grid of a comparison, most expensive first.

    The trial counts the seeds of a width.
    """
    return [
        RunRequest(trial=seed, width=width, choice=plain(width))
        for width in reversed(widths(plan))
        for seed in range(plan.config.baseline.repeats)
    ]


def scan_wanted(plan: Plan) -> list[RunRequest]:
    """List the runs of the grid of a scan, on the same subsets as its cells.

    The trial counts through the widths, and through the subset seeds of each, because
    seeds follow from it.
    """
    scan = plan.config.scan
    steps = list(enumerate(widths(plan)))
    return [
        RunRequest(
            trial=step * scan.subset_seeds + seed,
            per_class=size,
            width=width,
            choice=plain(width),
        )
        for size in descending(scan.oracle)
        for step, width in reversed(steps)
        for seed in range(scan.subset_seeds)
    ]


def widths(plan: Plan) -> list[int]:
    """Return the widths: the start width, doubled until the cap.

    Args:
        plan: The plan of the job.
    """
    found = [plan.lowest]
    while 2 * found[-1] <= plan.highest:
        found.append(2 * found[-1])
    return found

"""The oracle: plain networks of every doubled width, whatever comes out."""

from senn_ray.search.plan import Plan, Want, plain


def wanted(plan: Plan) -> list[Want]:
    """List the runs of the grid of a comparison, most expensive first.

    The width takes the place of the study, and the trial counts the seeds.

    Args:
        plan: The plan of a comparison.
    """
    return [
        Want(study=width, trial=seed, choice=plain(width))
        for width in reversed(widths(plan))
        for seed in range(plan.config.baseline.repeats)
    ]


def scan_wanted(plan: Plan) -> list[Want]:
    """List the runs of the grid of a scan, on the same subsets as its cells.

    Sizes take the place of the study, as in the cells of the scan; the trial counts
    through widths, and through subset seeds inside each width.

    Args:
        plan: The plan of a scan.
    """
    scan = plan.config.scan
    sizes = [0 if size == "all" else size for size in scan.oracle]
    steps = list(enumerate(widths(plan)))
    return [
        Want(study=size, trial=step * scan.subset_seeds + seed, choice=plain(width))
        for size in sorted(sizes, key=lambda n: (n > 0, -n))
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

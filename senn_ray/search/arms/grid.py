"""The oracle of a scan: plain networks of every doubled width, on the same subsets."""

from senn_ray.search.plan import Plan, Want


def wanted(plan: Plan) -> list[Want]:
    """List the runs of the grid, most expensive first.

    Sizes take the place of the study, as in the cells of the scan; the trial counts
    through widths, and through subset seeds inside each width.

    Args:
        plan: The plan of a scan.
    """
    scan = plan.config.scan
    sizes = [0 if size == "all" else size for size in scan.oracle]
    steps = list(enumerate(widths(plan)))
    return [
        Want(study=size, trial=step * scan.subset_seeds + seed, width=width)
        for size in sorted(sizes, key=lambda n: (n > 0, -n))
        for step, width in reversed(steps)
        for seed in range(scan.subset_seeds)
    ]


def widths(plan: Plan) -> list[int]:
    """Return the widths: the start width, doubled until the cap.

    Args:
        plan: The plan of a scan.
    """
    found = [plan.lowest]
    while 2 * found[-1] <= plan.highest:
        found.append(2 * found[-1])
    return found

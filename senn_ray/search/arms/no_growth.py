"""The control of growing itself: plain networks of the sizes that were found.

Each has the widths and the seed of one self-expanding run, so it starts from the same
data, splits and order of batches, but at the final size. It searches for nothing: it
is told the answer. The paired differences tell "growing found the size" from "growing
trains better".
"""

from collections.abc import Mapping

from senn_ray.core.records import RunRecord, order_of
from senn_ray.search.plan import SENN, Choice, Key, RunRequest


def wanted(finished: Mapping[Key, RunRecord]) -> list[RunRequest]:
    """List one run for each self-expanding run that completed.

    Args:
        finished: All records of the job.
    """
    return [
        RunRequest(
            trial=record.trial,
            per_class=record.per_class,
            choice=Choice(hidden=record.hidden),
        )
        for record in sorted(finished.values(), key=order_of)
        if record.arm == SENN and record.state == "complete"
    ]

"""The control of growing itself: plain networks of the sizes that were found.

Each has the widths and the seed of one self-expanding run, so it starts from the same
data, splits and order of batches, but at the final size. It searches for nothing: it
is told the answer. The paired differences tell "growing found the size" from "growing
trains better".
"""

from collections.abc import Mapping

from senn_ray.core.records import RunRecord
from senn_ray.search.plan import SENN, Choice, Key, Want


def wanted(finished: Mapping[Key, RunRecord]) -> list[Want]:
    """List one run for each self-expanding run that completed.

    Args:
        finished: All records of the job.
    """
    return [
        Want(study=key.study, trial=key.trial, choice=Choice(hidden=record.hidden))
        for key, record in sorted(finished.items(), key=_place)
        if key.arm == SENN and record.state == "complete"
    ]


def _place(item: tuple[Key, RunRecord]) -> tuple[int, int]:
    return item[0].study, item[0].trial

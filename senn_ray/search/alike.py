"""Failures that would repeat themselves: data that no run can be trained on."""

import re

from senn_ray.errors import DataError
from senn_ray.events import Event, RunFinished
from senn_ray.search.plan import Plan

_DATA_ERROR = re.compile(rf"(?:^|: ){DataError.__name__}: (.*)", flags=re.DOTALL)


def refuse(plan: Plan, event: Event) -> None:
    """End a job at the first run whose data is unfit, where all runs have that data.

    The cells of a scan have data of their own, so there the others go on.

    Args:
        plan: The plan of the job.
        event: What happened.

    Raises:
        DataError: in the words of the run.
    """
    if plan.verb == "scan" or not isinstance(event, RunFinished):
        return
    found = _DATA_ERROR.search(event.record.error or "")
    if event.record.state == "failed" and found:
        raise DataError(
            f"{found.group(1)} ({event.record.run_id}; all runs would fail)"
        )

"""Failures that would repeat themselves: unfit data, or a cluster of other versions."""

import re

from senn_ray.core.errors import DataError, ResourceError
from senn_ray.core.events import Event, RunFinished
from senn_ray.search.plan import Plan

_KINDS = {kind.__name__: kind for kind in (DataError, ResourceError)}
_REPEATED = re.compile(rf"(?:^|: )({'|'.join(_KINDS)}): (.*)", flags=re.DOTALL)


def refuse(plan: Plan, event: Event) -> None:
    """End a job at the first run that fails for a reason which all runs share.

    It is a ``DataError`` or a ``ResourceError``, in the words of the run. The cells of a
    scan have data of their own, so there the others go on after the former.

    Args:
        plan: The plan of the job.
        event: What happened.
    """
    if not isinstance(event, RunFinished) or event.record.state != "failed":
        return
    found = _REPEATED.search(event.record.error or "")
    if found is None:
        return
    kind, said = _KINDS[found.group(1)], found.group(2)
    if kind is ResourceError or plan.verb != "scan":
        raise kind(f"{said} ({event.record.run_id}; all runs would fail)")

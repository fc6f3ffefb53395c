"""Whether a locked target still stands.

It is a statistic of the self-expanding runs. If a job is extended by more of them, or
has failed ones done again, it would no longer be theirs, while exchange rates, which
compute it anew in every draw, would be: one page, two targets.
"""

from collections.abc import Mapping, Sequence

from senn_ray.core.events import Event, TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.search.attempts import attempts
from senn_ray.search.changes import config_of
from senn_ray.search.plan import SENN, Key

Finished = Mapping[Key, RunRecord]


def standing(
    events: Sequence[Event], finished: Finished, seeds: int
) -> TargetLocked | None:
    """Return the last locked target, if it is that of the self-expanding runs now.

    Args:
        events: What ``journal.read`` gave.
        finished: The runs that count as finished now.
        seeds: How many self-expanding runs there are to be.
    """
    places = [n for n, event in enumerate(events) if isinstance(event, TargetLocked)]
    now = _grown(finished)
    if not places or len(now) != seeds:
        return None
    last = events[places[-1]]
    behind = _grown(attempts(events[: places[-1]]).finished)
    return last if isinstance(last, TargetLocked) and behind == now else None


def outgrown(events: Sequence[Event]) -> bool:
    """Tell whether a target was locked that is not that of the runs there are now.

    Args:
        events: What ``journal.read`` gave.
    """
    if not any(isinstance(event, TargetLocked) for event in events):
        return False
    seeds = config_of(events).compare.seeds
    return standing(events, attempts(events).finished, seeds) is None


def _grown(finished: Finished) -> Finished:
    return {key: record for key, record in finished.items() if key.arm == SENN}

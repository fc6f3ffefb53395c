"""Targets: what a run must reach to count as a hit.

Two, side by side, because a wide enough plain network reaches almost any loss that a
small one reaches:

- ``quality``: a validation loss of at most the median of the self-expanding runs;
- ``quality_at_size``: that, with at most ``compare.size_factor`` times their median
  parameters.

They are locked when the self-expanding runs are done, before the result of any other
run is looked at.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

from senn_ray.core.events import Event, TargetLocked
from senn_ray.core.records import FAULTY, RunRecord
from senn_ray.search.attempts import attempts
from senn_ray.search.changes import config_of
from senn_ray.search.plan import SENN, Key

Finished = Mapping[Key, RunRecord]
TargetName = Literal["quality", "quality_at_size"]
TARGETS: tuple[TargetName, ...] = ("quality", "quality_at_size")
Currency = Literal["runs", "steps", "sample_visits", "flops", "device_s"]
CURRENCIES: tuple[Currency, ...] = get_args(Currency)
"""What a cost is counted in."""


def score(record: RunRecord) -> float:
    """Return the validation loss of a run; infinite if it diverged or failed.

    A run that was pruned has the loss of its best network so far. That network exists,
    so a search that has met the target before it pruned has met the target.
    """
    if record.state in FAULTY or record.val_loss is None:
        return math.inf
    return record.val_loss if math.isfinite(record.val_loss) else math.inf


def lock(records: Iterable[RunRecord], size_factor: float) -> TargetLocked | None:
    """Fix the targets, from the self-expanding runs that completed.

    Returns:
        The targets; nothing if no run completed.
    """
    good = [record for record in records if math.isfinite(score(record))]
    if not good:
        return None
    params = statistics.median(record.params for record in good)
    return TargetLocked(
        val_loss=statistics.median(map(score, good)),
        # The tiny addition keeps 1.15 * 100 from becoming 114 by rounding.
        max_params=math.floor(size_factor * params + 1e-9),
    )


def is_hit(record: RunRecord, target: TargetLocked, name: TargetName) -> bool:
    """Tell whether a run reaches a target."""
    if score(record) > target.val_loss:
        return False
    return name == "quality" or record.params <= target.max_params


def valid_target(
    events: Sequence[Event], finished: Finished, seeds: int
) -> TargetLocked | None:
    """Return the last locked target, if it is that of the self-expanding runs now.

    It is a statistic of these runs. If a job is extended by more of them, or has failed
    ones done again, it would no longer be theirs, while exchange rates, which compute it
    anew in every draw, would be: one page, two targets.

    Args:
        events: What ``journal.read`` gave.
        finished: The runs that count as finished now.
        seeds: Number of self-expanding runs that there are to be.
    """
    places = [n for n, event in enumerate(events) if isinstance(event, TargetLocked)]
    now = _grown(finished)
    if not places or len(now) != seeds:
        return None
    last = events[places[-1]]
    behind = _grown(attempts(events[: places[-1]]).finished)
    return last if isinstance(last, TargetLocked) and behind == now else None


def target_is_stale(events: Sequence[Event]) -> bool:
    """Tell whether a target was locked that is not that of the runs there are now."""
    if not any(isinstance(event, TargetLocked) for event in events):
        return False
    seeds = config_of(events).compare.seeds
    return valid_target(events, attempts(events).finished, seeds) is None


def _grown(finished: Finished) -> Finished:
    return {key: record for key, record in finished.items() if key.arm == SENN}

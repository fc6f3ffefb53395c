"""Reruns: whether a run that is carried out again gives the record of the journal.

Compared is all that follows from specification and data: losses, sizes, every
evaluation and proposal, counted costs, the checksum of the network; times and places
are not. A run that was measured on the test part is so again: that costs visits, and
tells nothing new, for the network is the same or the rerun has failed.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

from senn_ray.core.errors import ConfigError
from senn_ray.core.events import Event, RunFinished, RunSubmitted
from senn_ray.core.records import RunRecord, RunSpec

UNSTEADY = frozenset({
    "checkpoint",
    "device_name",
    "device_s",
    "error",
    "growth_s",
    "interruptions",
    "started_utc_s",
    "wall_s",
    "wasted_device_s",
})
# Journals of earlier versions do not have these.
LATER = frozenset({
    "guess_val_loss",
    "n_val",
    "test_balanced_accuracy",
    "val_balanced_accuracy",
    "val_share_gap",
    "width",
})
MOST_NAMED = 5
Difference = dict[str, Any]


def recorded(events: Sequence[Event], run_id: str) -> tuple[RunSpec, RunRecord]:
    """Find a run in a journal, as it has to be carried out again.

    Args:
        events: What ``journal.read`` gave.
        run_id: The run.

    Returns:
        Its specification, without a checkpoint, and its record.

    Raises:
        ConfigError: if there is no such run, or it has not finished.
    """
    specs = {e.spec.run_id: e.spec for e in events if isinstance(e, RunSubmitted)}
    records = {e.record.run_id: e.record for e in events if isinstance(e, RunFinished)}
    if run_id not in records or run_id not in specs:
        known = [name for name in records if name in specs]
        named = ", ".join(known[:MOST_NAMED]) + (", ..." if known[MOST_NAMED:] else "")
        raise ConfigError(
            f"{run_id} is not a finished run of this job; give RUN/RUN_ID with one of: "
            f"{named or 'none has finished'}"
        )
    return dataclasses.replace(specs[run_id], checkpoint=None), records[run_id]


def differences(
    record: RunRecord, again: RunRecord, *, tolerance: float
) -> list[Difference]:
    """List where two records of one run differ.

    Args:
        record: The record of the journal.
        again: The record of the rerun.
        tolerance: Relative, of measured numbers; 0 asks for equal bits, and then the
            checksum of the network counts too.
    """
    old, new = dict(_flat(record)), dict(_flat(again))
    if tolerance:
        del old["checksum"], new["checksum"]
    return [
        {"name": name, "was": old.get(name), "now": new.get(name)}
        for name in old | new
        if not (name in LATER and old.get(name) is None)
        and not _same(old.get(name), new.get(name), tolerance)
    ]


def _flat(record: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Name every steady value of a record, such as ``evaluations[3].val_loss``."""
    for field in dataclasses.fields(record):
        value, name = getattr(record, field.name), prefix + field.name
        if field.name in UNSTEADY:
            continue
        parts = value if isinstance(value, tuple) else ()
        if dataclasses.is_dataclass(value):
            yield from _flat(value, f"{name}.")
        elif parts and dataclasses.is_dataclass(parts[0]):
            for place, part in enumerate(parts):
                yield from _flat(part, f"{name}[{place}].")
        else:
            yield name, value


def _same(old: Any, new: Any, tolerance: float) -> bool:
    if tolerance and isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=tolerance)
    return old == new

"""Which of the networks of a job is exported."""

import math
import statistics
from collections.abc import Callable, Sequence

from senn_ray.core.errors import ConfigError, DataError
from senn_ray.core.records import RunRecord
from senn_ray.search.targets import score

MOST_NAMED = 8


def pick(
    records: Sequence[RunRecord], wanted: str | None, *, is_kept: Callable[[str], bool]
) -> RunRecord:
    """Choose the run whose network is exported.

    By default the run of (low) median validation loss: the one that the medians of the
    summary describe. In a scan, among the runs on the most examples. The least loss of
    many seeds would flatter itself.

    Args:
        records: The finished runs of a job.
        wanted: A run to take; or nothing, for the default.
        is_kept: Tells whether the network of a run is on the disk.

    Raises:
        DataError: if no run has a network; a wanted run without one is a
            ``ConfigError``.
    """
    good = [r for r in records if math.isfinite(score(r)) and is_kept(r.run_id)]
    if not good:
        raise DataError(
            "no finished run of this job has kept its network; resume the job, or type "
            "senn-ray grow for a new one"
        )
    if wanted is not None:
        return _named(good, wanted)
    most = max(record.n_train for record in good)
    candidates = [record for record in good if record.n_train == most]
    middle = statistics.median_low(map(score, candidates))
    return min(
        (r for r in candidates if score(r) == middle),
        key=lambda r: (r.params, r.run_id),
    )


def _named(records: Sequence[RunRecord], wanted: str) -> RunRecord:
    for record in records:
        if record.run_id == wanted:
            return record
    names = [record.run_id for record in records]
    more = ", ..." if len(names) > MOST_NAMED else ""
    raise ConfigError(
        f"--pick {wanted} is not a finished run whose network is kept; these are: "
        f"{', '.join(names[:MOST_NAMED])}{more}"
    )

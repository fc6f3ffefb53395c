"""The median pruner, decided before a run starts.

Optuna's ``MedianPruner`` ends a trial whose best value so far is worse than the median
that the completed trials of its study had at the same step. With one trial in flight
per study all of those are finished when a run starts, so the medians are known and go
with its specification. Nothing is asked of a run in flight, and a job that is killed
and resumed prunes the same runs at the same steps.
"""

import statistics
from collections.abc import Iterable

from senn_ray.core.records import RunRecord

STARTUP_TRIALS = 4
"""Completed trials of a study before any is pruned."""
WARMUP = 0.25
"""First share of the evaluations of a run, in which it is not pruned."""


def cutoffs(study: Iterable[RunRecord]) -> tuple[float | None, ...]:
    """Return the loss, by evaluation, above which the next run of a study is pruned.

    Args:
        study: The finished runs of the study.

    Returns:
        One entry per evaluation, none in the warm-up; empty with too few trials.
    """
    complete = [record for record in study if record.state == "complete"]
    if len(complete) < STARTUP_TRIALS:
        return ()
    losses = [[moment.val_loss for moment in run.evaluations] for run in complete]
    medians = [statistics.median(column) for column in zip(*losses, strict=False)]
    first = round(WARMUP * len(medians))
    return (*[None] * first, *medians[first:])

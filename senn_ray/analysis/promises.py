"""Promise against outcome: does a score gain tell how much the loss will fall?

``promises{runs checks kept spearman spearman_within}`` of the self-expanding runs:
``checks`` are growth checks with accepted proposals whose outcome is known, ``kept``
those that kept their promise. ``spearman`` is the rank correlation of promised and
realised drops over all checks; ``spearman_within`` the median over runs with at least
three checks, where differences between runs play no part. Null where it is not defined.
A realised drop includes the training until the next check, and both shrink while a run
goes on: so a correlation tells that promises are of use for ranking, not that they are
the cause.
"""

import statistics
from collections.abc import Sequence

from senn_ray.analysis.results import Promises
from senn_ray.analysis.statistics import rank_correlation
from senn_ray.core.records import Promise, RunRecord, promises_of

LEAST_CHECKS = 3


def promise_summary(records: Sequence[RunRecord]) -> Promises:
    """Tell how promises and outcomes agree.

    Args:
        records: Self-expanding runs.
    """
    by_run = [found for found in map(promises_of, records) if found]
    checks = [check for found in by_run for check in found]
    within = [_spearman(found) for found in by_run if len(found) >= LEAST_CHECKS]
    known = [value for value in within if value is not None]
    return Promises(
        runs=len(by_run),
        checks=len(checks),
        kept=sum(c.realised_drop >= c.promised_drop for c in checks),
        spearman=_spearman(checks),
        spearman_within=statistics.median(known) if known else None,
    )


def _spearman(checks: Sequence[Promise]) -> float | None:
    if len(checks) < LEAST_CHECKS:
        return None
    return rank_correlation(
        [c.promised_drop for c in checks], [c.realised_drop for c in checks]
    )

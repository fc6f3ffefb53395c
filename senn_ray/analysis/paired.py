"""Pairs: runs that share a seed with a self-expanding run, one by one.

``paired{arm: {pairs, excess, low, high, better, better_low, better_high, test_excess,
params_ratio}}``: ``excess`` is the mean validation loss of the arm minus that of the
self-expanding run of the same seed, with its 95 % interval (Student's t over pairs);
``better`` the share of pairs in which the arm's loss is lower, with its exact interval;
``params_ratio`` the geometric mean of its parameters over theirs.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from senn_ray.analysis.job import Job
from senn_ray.analysis.results import CellPairs, Pairs
from senn_ray.analysis.statistics import clopper_pearson, mean_interval
from senn_ray.core.records import RunRecord
from senn_ray.search.plan import PAIRED
from senn_ray.search.targets import score

Matched = Sequence[tuple[RunRecord, RunRecord]]


def paired(job: Job) -> dict[str, Pairs]:
    """Compare the paired arms with the self-expanding runs, seed by seed.

    Args:
        job: The job.

    Returns:
        By arm; an arm without a complete pair is left out.
    """
    grown = {r.trial: r for r in job.senn if math.isfinite(score(r))}
    found = {}
    for arm in sorted(PAIRED):
        own = [r for r in job.of(arm) if math.isfinite(score(r)) and r.trial in grown]
        if own:
            found[arm] = Pairs(**_compared([(r, grown[r.trial]) for r in own]))
    return found


def paired_by_size(job: Job) -> list[CellPairs]:
    """Compare the paired arms of a scan with its cells, size by size.

    Args:
        job: A scan.

    Returns:
        Rows of ``per_class``, ``arm``, ``hidden`` (of the arm) and what ``paired`` has.
    """
    grown = {(r.per_class, r.trial): r for r in job.senn if math.isfinite(score(r))}
    rows = []
    for size in job.config.scan.per_class:
        for arm in sorted(PAIRED):
            own = [r for r in job.of(arm) if r.per_class == size]
            pairs = [
                (r, grown[r.per_class, r.trial])
                for r in own
                if math.isfinite(score(r)) and (r.per_class, r.trial) in grown
            ]
            if pairs:
                hidden = tuple(sum(r.hidden) for r, _ in pairs)
                known = _compared(pairs)
                rows.append(CellPairs(per_class=size, arm=arm, hidden=hidden, **known))
    return rows


def _compared(pairs: Matched) -> dict[str, Any]:
    excess = [score(own) - score(senn) for own, senn in pairs]
    wins = sum(value < 0 for value in excess)
    low, high = mean_interval(excess) if len(pairs) > 1 else (None, None)
    better_low, better_high = clopper_pearson(wins, len(pairs))
    return {
        "pairs": len(pairs),
        "excess": statistics.fmean(excess),
        "low": low,
        "high": high,
        "better": wins / len(pairs),
        "better_low": better_low,
        "better_high": better_high,
        "test_excess": _test_excess(pairs),
        "params_ratio": statistics.geometric_mean(
            own.params / senn.params for own, senn in pairs
        ),
    }


def _test_excess(pairs: Matched) -> float | None:
    known = [
        own.test_loss - senn.test_loss
        for own, senn in pairs
        if own.test_loss is not None and senn.test_loss is not None
    ]
    return statistics.fmean(known) if known else None

"""Growing against arms that prune a wide network: equal sizes, and the cost.

Each search of both sides has a front, read between its networks (``fronts.between``), at
the sizes of the median growing run that all searches reach. Growing runs and those of the
arm have no seed in common, so intervals are Welch's, over searches.
"""

import math
from collections.abc import Sequence

import numpy as np

from senn_ray.analysis.front_results import Against, Difference
from senn_ray.analysis.fronts import between
from senn_ray.analysis.hits import grouped
from senn_ray.analysis.intervals import Interval
from senn_ray.analysis.job import Job
from senn_ray.analysis.networks import as_networks, as_runs, networks
from senn_ray.analysis.statistics import Floats, difference_interval
from senn_ray.core.records import RunRecord
from senn_ray.search.plan import SENN, WIDE_MAGNITUDE, WIDE_PRUNE
from senn_ray.search.targets import CURRENCIES, Currency, score

PRUNING = (WIDE_PRUNE, WIDE_MAGNITUDE)


def against(job: Job, sizes: Sequence[int]) -> dict[str, Against]:
    """Compare growing with the arms that prune, at these sizes (parameters)."""
    ours = _complete(grouped(job, SENN))
    found = dict[str, Against]()
    for arm in PRUNING:
        theirs = _complete(grouped(job, arm))
        row = _against(job, ours, theirs, sizes) if ours and theirs else None
        if row is not None:
            found[arm] = row
    return found


def _complete(searches: Sequence[Sequence[RunRecord]]) -> list[Sequence[RunRecord]]:
    return [s for s in searches if all(math.isfinite(score(r)) for r in s)]


def _against(
    job: Job,
    ours: Sequence[Sequence[RunRecord]],
    theirs: Sequence[Sequence[RunRecord]],
    sizes: Sequence[int],
) -> Against | None:
    places = np.array(sizes, dtype=float)
    logs = [_log_fronts(side, places) for side in (ours, theirs)]
    shared = np.isfinite(np.concatenate(logs)).all(axis=0)
    if not shared.any():
        return None
    senn, arm = (side[:, shared] for side in logs)
    units = {n.params: sum(n.hidden) for s in ours for r in s for n in networks(r)}
    rows = tuple(
        Difference(
            units=units[int(size)],
            params=int(size),
            senn_val_loss=math.exp(float(one.mean())),
            arm_val_loss=math.exp(float(other.mean())),
            excess=difference_interval(other, one),
        )
        for size, one, other in zip(places[shared], senn.T, arm.T, strict=True)
    )
    whole = difference_interval(arm.mean(axis=1), senn.mean(axis=1))
    return Against(
        judgement="better"
        if _above(whole)
        else "worse"
        if _below(whole)
        else "unclear",
        units=sum(theirs[0][0].hidden_start),
        searches=len(theirs),
        sizes=rows,
        excess=whole,
        better=sum(_above(row.excess) for row in rows),
        worse=sum(_below(row.excess) for row in rows),
        device_s=_ratio(job, ours, theirs, "device_s"),
        steps=_ratio(job, ours, theirs, "steps"),
    )


def _log_fronts(searches: Sequence[Sequence[RunRecord]], sizes: Floats) -> Floats:
    return np.log(
        np.stack([between(as_networks(search), sizes) for search in searches])
    )


def _ratio(
    job: Job,
    ours: Sequence[Sequence[RunRecord]],
    theirs: Sequence[Sequence[RunRecord]],
    currency: Currency,
) -> Interval:
    """Return what a growing run costs over what a search of the arm does."""
    column = CURRENCIES.index(currency)
    one, other = (
        np.array([as_runs(search).costs[:, column].sum() for search in side])
        for side in (ours, theirs)
    )
    unlike = currency == "device_s" and len(job.devices) > 1
    if unlike or min(one.min(), other.min()) <= 0:
        return Interval(estimate=None, low=None, high=None)
    logs = difference_interval(np.log(one), np.log(other))
    estimate, low, high = (
        end if end is None else math.exp(end)
        for end in (logs.estimate, logs.low, logs.high)
    )
    return Interval(estimate=estimate, low=low, high=high)


def _above(values: Interval) -> bool:
    return values.low is not None and values.low > 0


def _below(values: Interval) -> bool:
    return values.high is not None and values.high < 0

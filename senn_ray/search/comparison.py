"""The summary of ``compare``: both targets, all arms, all currencies, with intervals.

Contract; ``{...}`` of an interval is ``{estimate, low, high, bound}``: 95 %, null for
"not known" or (in ``high``) "unbounded"; with ``bound`` only ``low`` means anything::

    verb state exit_code dataset per_class seed seeds currencies[]
    verdict         one sentence, or null if it is withheld
    withheld[]      why there is no verdict
    caveats[]       plain sentences
    targets{TARGET: {val_loss, max_params}}    TARGET: quality, quality_at_size
    arms{TARGET: {senn and each opponent:
        runs searches hits censored adaptive best_val_loss best_hidden best_params
        hit_probability{...}              of one search
        median_runs                       to a hit; null if not reached
        cost{currency: number}            spent in all
        cost_to_hit{currency: {...}}      expected
        rounds{workers: number}           run lengths to a hit, side by side
        latency_s{workers: number}}}      seconds to a hit, side by side
    exchange_rate{TARGET: {opponent: {currency: {..., chance_above_one}}}}
    restarts_saved{TARGET: {opponent: {...}}}
    size{senn, best_fixed, plain_at_senn_size, smallest_sufficient}    each or null:
        estimate low high    units; for senn median, least and greatest over seeds
        hidden params seeds val_loss test_loss test_accuracy    means over seeds; for
                             senn medians
    sizes[{hidden params seeds val_mean val_low val_high noninferior}]
    confirmed{opponent: {target: the same as best_fixed}}
    curves{arm: [{runs val_loss cost{currency}}]}    expected best of so many runs
    paired{arm: {...}}    see ``senn_ray/search/paired.py``
    growth_share    of the device seconds of self-expanding runs
    cost{arm: {currency: number}}    ledger{arm: {...}}    see ``ledger.py``

A *search* is one study of a tpe arm, one repeat of a ladder, and one run of any other
arm; ``censored`` counts searches without a hit. ``grid`` and ``no_growth_at_final``
search for nothing: they are in ``sizes``, ``paired`` and ``cost`` only.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from senn_ray.records import RunRecord
from senn_ray.search import caveats
from senn_ray.search.arms.studies import ASKING
from senn_ray.search.curves import curve
from senn_ray.search.exchange import Exchange, exchange
from senn_ray.search.job import Job
from senn_ray.search.ledger import CURRENCIES, all_arms, cost_row, ledger, spent
from senn_ray.search.paired import paired
from senn_ray.search.plan import SENN
from senn_ray.search.sizes import confirmed, size_block, size_rows
from senn_ray.search.statistics import (
    Interval,
    Reached,
    Runs,
    clopper_pearson,
    cost_to_hit,
    median_runs,
    reach,
    rounds,
)
from senn_ray.search.targets import TARGETS, TargetName, score
from senn_ray.seeds import derive

ADAPTIVE = ASKING | {"ladder", "ladder_bisect"}
STOPPED_BY_HITS = frozenset({"random", "qmc"})
WORKERS = (1, 4, 16, 64)


def compare_summary(job: Job) -> dict[str, Any]:
    """Summarise a comparison.

    Args:
        job: The job; if it was interrupted, of what is there.
    """
    locked = TARGETS if job.target else ()
    found: dict[TargetName, Any] = {name: _target(job, name) for name in locked}
    known = {
        **_by_target(job, found),
        "size": size_block(job),
        "sizes": size_rows(job),
        "confirmed": confirmed(job),
        "curves": {arm: _curve(job, arm) for arm in [SENN, *job.arms]},
        "growth_share": _growth_share(job),
        "paired": paired(job),
        "cost": {arm: spent(job.of(arm)) for arm in all_arms(job)},
        "ledger": ledger(job),
    }
    withheld = caveats.reasons_to_withhold(job)
    return {
        "verb": "compare",
        "state": job.ended.state,
        "exit_code": job.ended.exit_code,
        "dataset": job.config.data.dataset,
        "per_class": job.config.data.per_class,
        "seed": job.config.seed,
        "seeds": len(job.senn),
        "currencies": list(CURRENCIES),
        "verdict": None if withheld else caveats.verdict(known["exchange_rate"]),
        "withheld": withheld,
        "caveats": caveats.caveats(job, known),
        **known,
    }


def searches(job: Job, arm: str) -> list[Runs]:
    """Return the independent searches of an arm.

    Args:
        job: The job.
        arm: The arm.
    """
    records = job.of(arm)
    if arm not in ADAPTIVE:
        return [as_runs([record]) for record in records]
    return [as_runs(list(g)) for _, g in groupby(records, key=lambda r: r.study)]


def as_runs(records: Sequence[RunRecord]) -> Runs:
    """Return records as arrays.

    Args:
        records: Runs in order.
    """
    return Runs(
        losses=np.array([score(record) for record in records]),
        params=np.array([record.params for record in records], dtype=float),
        costs=np.array([cost_row(record) for record in records]),
    )


def _by_target(job: Job, found: Mapping[TargetName, Any]) -> dict[str, Any]:
    parts = ("arms", "exchange_rate", "restarts_saved")
    return {
        "targets": {name: _target_values(job, name) for name in TARGETS},
        **{
            p: {name: found.get(name, {}).get(p, {}) for name in TARGETS} for p in parts
        },
    }


def _target_values(job: Job, name: TargetName) -> dict[str, Any]:
    target, sized = job.target, name == "quality_at_size"
    return {
        "val_loss": target.val_loss if target else None,
        "max_params": target.max_params if target and sized else None,
    }


def _target(job: Job, name: TargetName) -> dict[str, Any]:
    values = _target_values(job, name)
    loss = values["val_loss"]
    limit = math.inf if values["max_params"] is None else values["max_params"]
    factor = job.config.compare.size_factor if name == "quality_at_size" else None
    seed = derive(job.config.seed, "resample", name)
    exchanges = {
        arm: exchange(
            as_runs(job.senn), searches(job, arm), size_factor=factor, seed=seed
        )
        for arm in job.arms
    }
    arms = {a: _arm_row(job, a, loss, limit, seed=seed) for a in job.arms}
    ours = _senn_row(job, loss, limit, list(exchanges.values()))
    return {
        "arms": {SENN: ours, **arms},
        "exchange_rate": {arm: _rates(e) for arm, e in exchanges.items()},
        "restarts_saved": {arm: as_json(e.saved) for arm, e in exchanges.items()},
    }


def _arm_row(
    job: Job, arm: str, loss: float, limit: float, *, seed: int
) -> dict[str, Any]:
    reached = reach(searches(job, arm), loss, limit)
    adaptive = arm in ADAPTIVE
    costs = cost_to_hit(reached, adaptive=adaptive, seed=seed)
    hits = int(reached.hits.sum())
    q = hits / len(reached.hits)
    length = float(reached.costs[:, 0].mean())
    return {
        **_row_head(job, arm, limit, reached),
        "adaptive": adaptive,
        "hit_probability": _probability(job, arm, reached),
        "median_runs": median_runs(reached) if adaptive else _geometric_median(q),
        "cost_to_hit": _by_currency(costs),
        **_side_by_side(job, arm, q, length),
    }


def _senn_row(
    job: Job, loss: float, limit: float, exchanges: list[Exchange]
) -> dict[str, Any]:
    singles = [as_runs([record]) for record in job.senn]
    reached = reach(singles, loss, limit)
    cost = exchanges[0].senn_cost if exchanges else []
    runs = cost[0].estimate if cost else None
    q = 1 / runs if runs else None
    return {
        **_row_head(job, SENN, limit, reached),
        "adaptive": False,
        "hit_probability": {"estimate": q, "low": None, "high": None, "bound": False},
        "median_runs": _geometric_median(q) if q else None,
        "cost_to_hit": _by_currency(cost),
        **_side_by_side(job, SENN, q or 0.0, 1.0),
    }


def _side_by_side(job: Job, arm: str, q: float, length: float) -> dict[str, Any]:
    """Tell how long a hit takes if searches go side by side; runs inside one cannot."""
    runs = {str(w): length * rounds(q, w) if q else None for w in WORKERS}
    records = job.of(arm)
    run_s = math.fsum(record.wall_s for record in records) / len(records)
    seconds = {w: None if r is None else r * run_s for w, r in runs.items()}
    return {"rounds": runs, "latency_s": seconds}


def _row_head(job: Job, arm: str, limit: float, reached: Reached) -> dict[str, Any]:
    records = job.of(arm)
    small = [r for r in records if r.params <= limit and math.isfinite(score(r))]
    best = min(small, key=score, default=None)
    return {
        "runs": len(records),
        "searches": len(reached.hits),
        "hits": int(reached.hits.sum()),
        "censored": int((~reached.hits).sum()),
        "best_val_loss": score(best) if best else None,
        "best_hidden": list(best.hidden) if best else None,
        "best_params": best.params if best else None,
        "cost": spent(records),
    }


def _probability(job: Job, arm: str, reached: Reached) -> dict[str, Any]:
    trials, hits = len(reached.hits), int(reached.hits.sum())
    low, high = clopper_pearson(hits, trials)
    # "Until m hits" makes m / n too large on average; (m - 1) / (n - 1) is unbiased.
    stopped = arm in STOPPED_BY_HITS and hits == job.config.baseline.until_hits
    inverse = stopped and hits > 1 and trials < job.config.baseline.max_trials
    estimate = (hits - 1) / (trials - 1) if inverse else hits / trials
    return {"estimate": estimate, "low": low, "high": high, "bound": False}


def _geometric_median(q: float) -> float | None:
    if q <= 0:
        return None
    return 1.0 if q >= 1 else float(max(1, math.ceil(math.log(0.5) / math.log1p(-q))))


def _rates(found: Exchange) -> dict[str, Any]:
    pairs = zip(CURRENCIES, found.rate, found.chance_above_one, strict=True)
    return {c: {**as_json(rate), "chance_above_one": p} for c, rate, p in pairs}


def _by_currency(intervals: Sequence[Interval]) -> dict[str, Any]:
    return {
        c: as_json(i) for c, i in zip(CURRENCIES, intervals, strict=bool(intervals))
    }


def as_json(interval: Interval) -> dict[str, Any]:
    """Return an interval as JSON values.

    Args:
        interval: The interval.
    """
    return dataclasses.asdict(interval)


def _curve(job: Job, arm: str) -> list[dict[str, Any]]:
    if arm in ADAPTIVE:
        return curve(searches(job, arm), CURRENCIES, adaptive=True)
    return curve([as_runs(job.of(arm))], CURRENCIES, adaptive=False)


def _growth_share(job: Job) -> float | None:
    total = math.fsum(record.cost.device_s for record in job.senn)
    growth = math.fsum(record.cost.growth_s for record in job.senn)
    return growth / total if total else None

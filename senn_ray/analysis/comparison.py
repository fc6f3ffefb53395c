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
        median_runs median_runs_low median_runs_high    to a hit; null: beyond
        cost{currency: number}            spent in all
        cost_to_hit{currency: {...}}}}    expected
    exchange_rate{TARGET: {opponent: {currency: {..., chance_above_one}}}}
                             of device_s: null if runs used unlike devices
    restarts_saved{TARGET: {opponent: {...}}}
    size{senn, best_fixed, plain_at_senn_size, smallest_sufficient}    each or null:
        estimate low high    units; for senn median, least and greatest over seeds
        hidden params seeds val_loss test_loss test_accuracy    means over seeds; for
                             senn medians
    sizes[{hidden params seeds val_mean val_low val_high noninferior}]
    confirmed{opponent: {target: the same as best_fixed}}
    curves{arm: [{runs val_loss median low high cost{currency}}]}    best of so many
                             runs (see ``curves.py``)
    paired{arm: {...}}    see ``senn_ray/analysis/paired.py``
    growth_share    of the device seconds of self-expanding runs
    cost{arm: {currency: number}}    ledger{arm: {...}}    see ``ledger.py``

A *search* is one study of a tpe arm, one repeat of a ladder, and one run of any other
arm; ``censored`` counts searches without a hit. ``grid`` and ``no_growth_at_final``
search for nothing: they are in ``sizes``, ``paired`` and ``cost`` only.
"""

import math
from collections.abc import Mapping
from typing import Any

from senn_ray.analysis import caveats
from senn_ray.analysis.arm_rows import (
    ADAPTIVE,
    arm_row,
    as_json,
    as_runs,
    searches,
    senn_row,
)
from senn_ray.analysis.curves import curve
from senn_ray.analysis.exchange import Exchange, exchange, resample
from senn_ray.analysis.job import Job
from senn_ray.analysis.ledger import all_arms, ledger, spent
from senn_ray.analysis.paired import paired
from senn_ray.analysis.sizes import confirmed, size_block, size_rows
from senn_ray.core.seeds import derive
from senn_ray.search.plan import SENN
from senn_ray.search.targets import CURRENCIES, TARGETS, TargetName


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
        "verdict": None if withheld else caveats.verdict(known),
        "withheld": withheld,
        "caveats": caveats.caveats(job, known),
        **known,
    }


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
    exchanges = dict[str, Exchange]()
    if job.arms:
        senn = resample(as_runs(job.senn), size_factor=factor, seed=seed)
        exchanges = {arm: exchange(senn, searches(job, arm)) for arm in job.arms}
    arms = {a: arm_row(job, a, loss, limit, seed=seed) for a in job.arms}
    ours = senn_row(job, loss, limit, list(exchanges.values()))
    return {
        "arms": {SENN: ours, **arms},
        "exchange_rate": {arm: _rates(job, e) for arm, e in exchanges.items()},
        "restarts_saved": {arm: as_json(e.saved) for arm, e in exchanges.items()},
    }


def _rates(job: Job, found: Exchange) -> dict[str, Any]:
    pairs = zip(CURRENCIES, found.rate, found.chance_above_one, strict=True)
    rates = {c: {**as_json(rate), "chance_above_one": p} for c, rate, p in pairs}
    if len(job.devices) > 1:  # Seconds of unlike devices are not one currency.
        rates["device_s"] = {**dict.fromkeys(rates["device_s"]), "bound": False}
    return rates


def _curve(job: Job, arm: str) -> list[dict[str, Any]]:
    if arm in ADAPTIVE:
        return curve(searches(job, arm), CURRENCIES, adaptive=True)
    return curve([as_runs(job.of(arm))], CURRENCIES, adaptive=False)


def _growth_share(job: Job) -> float | None:
    total = math.fsum(record.cost.device_s for record in job.senn)
    growth = math.fsum(record.cost.growth_s for record in job.senn)
    return growth / total if total else None

"""The summary of a job, from the events of its journal alone.

What it holds is in ``results.py``; ``summary.json`` is its serialisation.
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Any

from senn_ray.analysis import caveats as say
from senn_ray.analysis.curves import curve
from senn_ray.analysis.exchange import Exchange, exchange, resample
from senn_ray.analysis.front_summary import front_comparison
from senn_ray.analysis.hits import (
    arm_row,
    grouped,
    over_targets,
    searches,
    senn_row,
)
from senn_ray.analysis.job import Job, gather
from senn_ray.analysis.ledger import all_arms, ledger, plan_summary, spent
from senn_ray.analysis.networks import as_bests, as_runs
from senn_ray.analysis.results import (
    WEIGHTS,
    ArmRow,
    BestOf,
    CompareSummary,
    FoundRungs,
    GrowSummary,
    Interval,
    Promises,
    Rate,
    RungRow,
    RunSummary,
    RunValues,
    Summary,
    Target,
    decisive,
    finite,
    limiting,
)
from senn_ray.analysis.scan import scan_summary
from senn_ray.analysis.sizes import confirmed, paired, retrained, size_block, size_rows
from senn_ray.analysis.statistics import rank_correlation
from senn_ray.core.events import Event
from senn_ray.core.fronts import best, one_se
from senn_ray.core.records import Promise, Rung, RunRecord, promises_of
from senn_ray.core.seeds import derive
from senn_ray.search.arms import find
from senn_ray.search.changes import deviations, mixed_versions
from senn_ray.search.ending import exhausted
from senn_ray.search.plan import SENN
from senn_ray.search.targets import CURRENCIES, TARGETS, Currency, TargetName

COUNTS = ("params", "n_train", "steps", "sample_visits", "checks")
MEASURES = (
    "train_loss",
    "val_loss",
    "val_accuracy",
    "test_loss",
    "test_accuracy",
    "flops",
    "wall_s",
    "device_s",
    "growth_s",
    "growth_share",
)
LEAST_CHECKS = 3
NO_RATE = Rate(estimate=None, low=None, high=None, chance_above_one=None)


def summarise(events: Sequence[Event], *, alive: bool = True) -> Summary:
    """Compute the summary of a job, whether or not it came to its end.

    Args:
        events: What ``journal.read`` gave.
        alive: Whether a process works on the job, if its journal has no end.
    """
    job = gather(events, alive=alive)
    changed = deviations(events)
    budget = exhausted(events)
    said = [*say.about_data(job)]
    said += [limiting(text) for text in (*mixed_versions(events), *changed)]
    if budget is not None:
        budget = f"{budget}: partial results, of the {len(job.records)} runs that are finished"
        said.append(decisive(budget))
    shared: dict[str, Any] = {
        "state": job.ended.state,
        "exit_code": job.ended.exit_code,
        "dataset": job.config.data.dataset,
        "seed": job.config.seed,
        "ledger": ledger(job),
        "promises": promise_summary(job.senn),
        "plan": plan_summary(job),
        "deviations": tuple(changed),
        "budget": budget,
        "caveats": tuple(said),
    }
    makers = {"compare": compare_summary, "scan": scan_summary}
    summary = makers.get(job.started.verb, grow_summary)(job, **shared)
    # The weightiest first, so that a page may show the first few alone.
    caveats = sorted(summary.caveats, key=lambda said: WEIGHTS.index(said.weight))
    return finite(dataclasses.replace(summary, caveats=tuple(caveats)))


def grow_summary(job: Job, **shared: Any) -> GrowSummary:
    """Summarise self-expanding runs; ``shared`` is what all summaries have."""
    runs = tuple(run_summary(record) for record in job.senn)
    names = [field.name for field in dataclasses.fields(RunValues)]
    if len(runs) == 1:
        values = {name: getattr(runs[0], name) for name in names}
    else:
        values = _medians(runs)
    shared["caveats"] = (*shared["caveats"], *say.about_grown(job))
    return GrowSummary(**shared, **values, runs=runs)


def run_summary(record: RunRecord) -> RunSummary:
    """Summarise one run."""
    cost = record.cost
    return RunSummary(
        run_id=record.run_id,
        dataset=record.dataset,
        seed=record.seed,
        run_state=record.state,
        error=record.error,
        per_class=record.per_class,
        workers=record.workers,
        hidden_start=record.hidden_start,
        hidden=record.hidden,
        params=record.params,
        n_train=record.n_train,
        train_loss=record.train_loss,
        val_loss=record.val_loss,
        val_accuracy=record.val_accuracy,
        test_loss=record.test_loss,
        test_accuracy=record.test_accuracy,
        steps=cost.steps,
        sample_visits=cost.sample_visits,
        flops=cost.flops,
        wall_s=record.wall_s,
        device_s=cost.device_s,
        growth_s=cost.growth_s,
        growth_share=cost.growth_s / cost.device_s if cost.device_s else None,
        checks=record.checks,
        stop_reason=record.stop_reason,
        expansions=record.expansions,
        front=tuple(_rung_row(rung) for rung in record.front),
        found=FoundRungs(best=best(record.front), one_se=one_se(record.front))
        if record.front
        else FoundRungs(),
    )


def _rung_row(rung: Rung) -> RungRow:
    names = [field.name for field in dataclasses.fields(RungRow)]
    return RungRow(**{name: getattr(rung, name) for name in names})


def _medians(runs: Sequence[RunSummary]) -> dict[str, Any]:
    """Describe several runs: what they share, and medians of those that completed."""
    good = [run for run in runs if run.run_state == "complete"]

    def known(name: str) -> list[Any]:
        values = (getattr(run, name) for run in good)
        return [value for value in values if value is not None]

    shared: dict[str, Any] = {}
    for name in ("per_class", "workers", "hidden_start", "stop_reason"):
        values = [getattr(run, name) for run in runs]
        alike = all(value == values[0] for value in values)
        shared[name] = (values[0] if alike else "mixed") if values else None
    widths = zip(*(run.hidden for run in good), strict=False)
    return {
        "run_id": None,
        **shared,
        # A median of counts is one of them.
        **{n: statistics.median_low(v) if (v := known(n)) else None for n in COUNTS},
        **{n: statistics.median(v) if (v := known(n)) else None for n in MEASURES},
        "hidden": tuple(statistics.median_low(layer) for layer in widths),
        "expansions": (),
        "front": (),
        "found": FoundRungs(),
    }


def compare_summary(job: Job, **shared: Any) -> CompareSummary:
    """Summarise a comparison, as far as it went; ``shared`` is what all have."""
    targets: dict[TargetName, Target]
    targets = {name: _target_of(job, name) for name in TARGETS}
    rows: dict[TargetName, dict[str, ArmRow]] = {name: {} for name in TARGETS}
    rates: dict[TargetName, dict[str, dict[Currency, Rate]]]
    rates = {name: {} for name in TARGETS}
    saved: dict[TargetName, dict[str, Interval]] = {name: {} for name in TARGETS}
    for name in TARGETS if job.target else ():
        exchanges = _exchanges(job, name)
        rates[name] = {arm: _rates(job, found) for arm, found in exchanges.items()}
        saved[name] = {arm: found.saved for arm, found in exchanges.items()}
        rows[name] = _rows(job, name, targets[name], exchanges)
    sizes, pairs, costs = size_rows(job), paired(job), shared["ledger"]
    size = size_block(job, sizes)
    cost = {arm: spent(job.of(arm)) for arm in all_arms(job)}
    withheld = tuple(say.reasons_to_withhold(job))
    found = say.standings(rates, rows, costs)
    fronts = front_comparison(job)
    pruning = fronts.against if fronts else {}
    device_s = math.fsum(record.cost.device_s for record in job.senn)
    growth_s = math.fsum(record.cost.growth_s for record in job.senn)
    growth_share = growth_s / device_s if device_s else None
    shared["caveats"] = (
        *shared["caveats"],
        *say.about_rates(rates, rows, targets),
        *say.about_sizes(job, size),
        *say.about_pairs(pairs),
        *say.about_runs(job, costs),
        *say.about_costs(job, cost, growth_share),
    )
    return CompareSummary(
        **shared,
        per_class=job.config.data.per_class,
        seeds=len(job.senn),
        currencies=CURRENCIES,
        verdict=None if withheld else say.verdict(found, pruning),
        standings=found,
        withheld=withheld,
        targets=targets,
        arms=rows,
        exchange_rate=rates,
        restarts_saved=saved,
        size=size,
        sizes=sizes,
        confirmed=confirmed(job),
        curves={arm: _curve(job, arm) for arm in [SENN, *job.arms]},
        growth_share=growth_share,
        paired=pairs,
        cost=cost,
        retrained=tuple(retrained(job)),
        over_targets=over_targets(job),
        fronts=fronts,
    )


def _target_of(job: Job, name: TargetName) -> Target:
    if job.target is None:
        return Target(val_loss=None, max_params=None)
    sized = name == "quality_at_size"
    most = job.target.max_params if sized else None
    return Target(val_loss=job.target.val_loss, max_params=most)


def _exchanges(job: Job, name: TargetName) -> dict[str, Exchange]:
    """Compare every opponent with the same draws of the self-expanding runs."""
    if not job.arms:
        return {}
    factor = job.config.compare.size_factor if name == "quality_at_size" else None
    seed = _seed(job, name)
    senn = resample(as_runs(job.senn), size_factor=factor, seed=seed)
    return {arm: exchange(senn, searches(job, arm)) for arm in job.arms}


def _rows(
    job: Job, name: TargetName, target: Target, exchanges: dict[str, Exchange]
) -> dict[str, ArmRow]:
    loss = math.inf if target.val_loss is None else target.val_loss
    limit = math.inf if target.max_params is None else target.max_params
    seed = _seed(job, name)
    arms = {arm: arm_row(job, arm, loss, limit, seed=seed) for arm in job.arms}
    return {SENN: senn_row(job, loss, limit, list(exchanges.values())), **arms}


def _seed(job: Job, name: TargetName) -> int:
    return derive(job.config.seed, "resample", name)


def _rates(job: Job, found: Exchange) -> dict[Currency, Rate]:
    parts = zip(CURRENCIES, found.rate, found.chance_above_one, strict=True)
    rates: dict[Currency, Rate] = {
        currency: Rate(
            estimate=rate.estimate,
            low=rate.low,
            high=rate.high,
            bound=rate.bound,
            chance_above_one=chance,
        )
        for currency, rate, chance in parts
    }
    if len(job.devices) > 1:  # Seconds of unlike devices are not one currency.
        rates["device_s"] = NO_RATE
    return rates


def _curve(job: Job, arm: str) -> tuple[BestOf, ...]:
    if find(arm).search == "study":
        studies = [as_bests(records) for records in grouped(job, arm)]
        return tuple(curve(studies, CURRENCIES, adaptive=True))
    return tuple(curve([as_bests(job.of(arm))], CURRENCIES, adaptive=False))


def promise_summary(records: Sequence[RunRecord]) -> Promises:
    """Tell if a score gain says how much the loss will fall, over self-expanding runs.

    Checks count whose accepted proposals have a known outcome. A realised drop includes
    the training until the next check, and both shrink while a run goes on: so a
    correlation tells that promises are of use for ranking, not that they are the cause.
    Within a run (of at least three checks), differences between runs play no part.
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

"""The cost ledger of a job: what every arm has used and wasted, and what was predicted.

``runs`` counts every run that ended once, however it ended: a pruned, diverged or
failed run is a restart like any other. A retry forced by the infrastructure is none, nor
is an interruption that a run has survived;
what earlier attempts used, and what a run spent in vain on replicas that it lost, is in
``wasted_device_s`` and in no other column. ``wall_s`` adds up runs, as if one followed
the other.
"""

import dataclasses
import math
from collections.abc import Sequence

from senn_ray.analysis.job import Job
from senn_ray.analysis.results import LedgerRow, Predicted
from senn_ray.core.records import RunRecord
from senn_ray.search.plan import SENN, Plan
from senn_ray.search.planned import planned_runs
from senn_ray.search.targets import CURRENCIES, Currency

STATES = ("complete", "pruned", "diverged", "failed")
TOTAL = "total"


def ledger(job: Job) -> dict[str, LedgerRow]:
    """Add up the costs of every arm of a job, and of all."""
    rows = {arm: _row(job, arm) for arm in all_arms(job)}
    names = [field.name for field in dataclasses.fields(LedgerRow)]
    total = {name: sum(getattr(r, name) for r in rows.values()) for name in names}
    return {**rows, TOTAL: LedgerRow(**total)}


def all_arms(job: Job) -> list[str]:
    """List what has runs: self-expansion, opponents, controls, and all others."""
    known = [SENN, *job.arms, *job.controls]
    return [*known, *sorted({r.arm for r in job.records} - {*known})]


def spent(records: Sequence[RunRecord]) -> dict[Currency, float]:
    """Add up runs in every currency."""
    rows = [cost_row(record) for record in records]
    return {c: math.fsum(row[i] for row in rows) for i, c in enumerate(CURRENCIES)}


def cost_row(record: RunRecord) -> list[float]:
    """Return what a run has used, in the order of the currencies."""
    return [float(getattr(record.cost, currency)) for currency in CURRENCIES]


def _row(job: Job, arm: str) -> LedgerRow:
    records = job.of(arm)
    tried = job.tried
    earlier = [r.cost for r in tried.superseded if r.arm == arm]
    in_vain = [cost.device_s + cost.wasted_device_s for cost in earlier]
    in_vain += [record.cost.wasted_device_s for record in records]
    in_vain += [seconds for key, seconds in tried.lost.items() if key.arm == arm]
    counts = {s: sum(record.state == s for record in records) for s in STATES}
    return LedgerRow(
        **spent(records),
        growth_s=math.fsum(record.cost.growth_s for record in records),
        wall_s=math.fsum(record.wall_s for record in records),
        **counts,
        retries=sum(n for key, n in tried.retries.items() if key.arm == arm),
        interruptions=sum(len(record.interruptions) for record in records),
        wasted_device_s=math.fsum(in_vain),
    )


COLUMNS: tuple[Currency, ...] = ("runs", "steps", "device_s")


def plan_summary(job: Job) -> dict[Currency, Predicted]:
    """Compare what the settings promised with what the job has used.

    Runs and steps follow from the settings and the number of training examples, before
    anything has run. A device-second is what the first run of an arm that finished took
    for a step: nothing else is known at that time, and it costs nothing to know it. The
    prediction counts runs that depend on results, of arms that have any, as "at most",
    and a growing run as long as a plain one.
    """
    plan = Plan(verb=job.started.verb, config=job.config)  # pyright: ignore[reportArgumentType]
    n_train = {r.per_class: r.n_train for r in job.records if r.n_train}
    step_s = dict[str, float]()
    for record in sorted(job.records, key=lambda r: r.started_utc_s + r.wall_s):
        if record.cost.steps:
            step_s.setdefault(record.arm, record.cost.device_s / record.cost.steps)
    predicted: dict[Currency, float] = dict.fromkeys(COLUMNS, 0.0)
    for run in planned_runs(plan):
        steps = job.config.train.steps(n_train.get(run.per_class, 0))
        row = (1, steps, steps * step_s.get(run.arm, 0.0))
        for name, value in zip(COLUMNS, row, strict=True):
            predicted[name] += value
    costs = [record.cost for record in job.records]
    found = dict[Currency, Predicted]()
    for name in COLUMNS:
        actual = sum(getattr(cost, name) for cost in costs)
        ratio = actual / predicted[name] if predicted[name] and actual else None
        found[name] = Predicted(predicted=predicted[name], actual=actual, ratio=ratio)
    return found

"""The cost ledger of a job: what every arm has used, in every currency, and wasted.

``ledger{arm or "total": {runs steps sample_visits flops device_s growth_s wall_s
complete pruned diverged failed retries interruptions wasted_device_s}}``

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
from senn_ray.analysis.results import LedgerRow
from senn_ray.core.records import RunRecord
from senn_ray.search.plan import SENN
from senn_ray.search.targets import CURRENCIES, Currency

STATES = ("complete", "pruned", "diverged", "failed")
TOTAL = "total"


def ledger(job: Job) -> dict[str, LedgerRow]:
    """Add up the costs of every arm of a job, and of all.

    Args:
        job: The job.
    """
    rows = {arm: _row(job, arm) for arm in all_arms(job)}
    names = [field.name for field in dataclasses.fields(LedgerRow)]
    total = {name: sum(getattr(r, name) for r in rows.values()) for name in names}
    return {**rows, TOTAL: LedgerRow(**total)}


def all_arms(job: Job) -> list[str]:
    """List what has runs: self-expansion, opponents, controls, and all others.

    Args:
        job: The job.
    """
    known = [SENN, *job.arms, *job.controls]
    return [*known, *sorted({r.arm for r in job.records} - {*known})]


def spent(records: Sequence[RunRecord]) -> dict[Currency, float]:
    """Add up runs in every currency.

    Args:
        records: The runs.
    """
    rows = [cost_row(record) for record in records]
    return {c: math.fsum(row[i] for row in rows) for i, c in enumerate(CURRENCIES)}


def cost_row(record: RunRecord) -> list[float]:
    """Return what a run has used, in the order of the currencies.

    Args:
        record: The run.
    """
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

"""The outlook of a job that was not started, as JSON values.

Contract::

    verb protocol_id started(false) where capacity parallel_s{low expected high}
    calibration[{hidden params step_s evaluation_s check_s}]
        check_s: null where it was not measured
    arms{arm or "total": {currency: {low expected high}}}
    runs[{run_id arm kind seed per_class hidden steps certain}]
        every run that may be done; hidden is null where it depends on results;
        certain: done in every scenario
    supposed[width]       self-found widths of the scenarios
    buys[{truth hits trials low high}]
        if the arms that stop at hits really need ``truth`` runs to a hit: the expected
        hits and trials, and the 95 % interval of that number that would be printed; with
        hits below 1 only a lower bound
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from senn_ray.analysis.distributions import clopper_pearson
from senn_ray.analysis.ledger import TOTAL, spent
from senn_ray.analysis.statistics import least_searches
from senn_ray.config import BaselineConfig
from senn_ray.core.events import Event, RunFinished, RunSubmitted
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.search.arms.studies import ASKING
from senn_ray.search.plan import CONFIRM, CONFIRM_FULL, GROWING, NO_GROWTH, Plan
from senn_ray.search.targets import CURRENCIES
from senn_ray.service.forecast import LengthOf, Scenario, imagine, scenarios
from senn_ray.service.prices import Prices

TRUTHS = (2, 5, 10, 20, 40)
OPEN = ASKING | GROWING | {"ladder", "ladder_bisect", CONFIRM, CONFIRM_FULL, NO_GROWTH}
"""Arms whose widths nobody knows beforehand."""
Range = dict[str, float]


def outlook(
    plan: Plan, prices: Prices, length_of: LengthOf, *, capacity: int
) -> dict[str, Any]:
    """Forecast a job.

    Args:
        plan: The plan of the job.
        prices: What runs cost.
        length_of: Tells how long a run is.
        capacity: Runs side by side.
    """
    supposed = scenarios(plan)
    journals = [
        imagine(plan, scenario, prices, length_of, capacity=capacity)
        for scenario in supposed
    ]
    arms = _arms(supposed, journals)
    total = arms[TOTAL]["device_s"]
    per_run = plan.config.cluster.workers_per_run * capacity
    compared = plan.verb == "compare"
    return {
        "verb": plan.verb,
        "started": False,
        "capacity": capacity,
        "parallel_s": {name: value / per_run for name, value in total.items()},
        "calibration": calibration(prices),
        "arms": arms,
        "runs": _runs(journals, length_of),
        "supposed": sorted({scenario.width for scenario in supposed}),
        "buys": [buys(plan.config.baseline, truth) for truth in TRUTHS if compared],
    }


def calibration(prices: Prices) -> list[dict[str, Any]]:
    """List the seconds that were measured, by width.

    Args:
        prices: What was measured.
    """
    return [
        {
            "hidden": width,
            "params": prices.params[width],
            "step_s": float(parts.step[2]),
            "evaluation_s": float(parts.evaluation[2]),
            "check_s": _seconds(prices.checks, width),
        }
        for width, parts in prices.parts.items()
    ]


def buys(baseline: BaselineConfig, truth: float) -> dict[str, Any]:
    """Tell how wide the interval will be that a budget buys.

    Args:
        baseline: The budget: most trials, and the hits at which an arm stops.
        truth: Runs that a hit really takes.
    """
    trials = min(baseline.max_trials, round(baseline.until_hits * truth))
    hits = min(baseline.until_hits, round(trials / truth))
    row = {"truth": truth, "hits": hits, "trials": trials}
    if hits == 0:
        return {**row, "low": least_searches(trials), "high": None}
    least, most = clopper_pearson(hits, trials)
    return {**row, "low": 1 / most, "high": 1 / least}


def _seconds(checks: Mapping[int, Any], width: int) -> float | None:
    return float(checks[width][2]) if width in checks else None


def _records(journal: Sequence[Event]) -> list[RunRecord]:
    return [event.record for event in journal if isinstance(event, RunFinished)]


def _arms(
    supposed: Sequence[Scenario], journals: Sequence[Sequence[Event]]
) -> dict[str, dict[str, Range]]:
    tables = [_spent_by_arm(_records(journal)) for journal in journals]
    names = dict.fromkeys(arm for table in tables for arm in table)
    nothing = dict.fromkeys(CURRENCIES, 0.0)
    middle = [s.width == supposed[0].width for s in supposed]
    return {
        arm: {
            currency: _range([t.get(arm, nothing)[currency] for t in tables], middle)
            for currency in CURRENCIES
        }
        for arm in names
    }


def _range(values: Sequence[float], middle: Sequence[bool]) -> Range:
    usual = [
        value for value, is_middle in zip(values, middle, strict=True) if is_middle
    ]
    return {
        "low": min(values),
        "expected": sum(usual) / len(usual),
        "high": max(values),
    }


def _spent_by_arm(records: Sequence[RunRecord]) -> dict[str, dict[str, float]]:
    arms = dict.fromkeys(record.arm for record in records)
    table = {arm: spent([r for r in records if r.arm == arm]) for arm in arms}
    return {**table, TOTAL: spent(records)}


def _runs(
    journals: Sequence[Sequence[Event]], length_of: LengthOf
) -> list[dict[str, Any]]:
    seen: dict[str, RunSpec] = {}
    times: dict[str, int] = {}
    for journal in journals:
        for event in journal:
            if isinstance(event, RunSubmitted):
                seen.setdefault(event.spec.run_id, event.spec)
                times[event.spec.run_id] = times.get(event.spec.run_id, 0) + 1
    return [
        {
            **_run(spec),
            "steps": length_of(spec).steps,
            "certain": times[run_id] == len(journals),
        }
        for run_id, spec in seen.items()
        # Which widths win nobody knows: confirmations differ in every scenario.
        if spec.arm not in {CONFIRM, CONFIRM_FULL}
    ]


def _run(spec: RunSpec) -> dict[str, Any]:
    known = dataclasses.asdict(spec)
    hidden = None if spec.arm in OPEN else list(spec.model.hidden)
    names = ("run_id", "arm", "kind", "seed")
    return {
        **{name: known[name] for name in names},
        "per_class": spec.data.per_class,
        "hidden": hidden,
    }

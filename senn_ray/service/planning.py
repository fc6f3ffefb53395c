"""Plans: every run that a job may do, and what they cost by a few measured steps."""

import dataclasses
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from senn_ray.config import Config, FrontConfig
from senn_ray.core.errors import ResourceError
from senn_ray.core.events import RunFinished
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.search import protocol, specs
from senn_ray.search.arms import find
from senn_ray.search.plan import GRID, SENN, Choice, Key, Plan, Verb
from senn_ray.search.planned import PlannedRun, planned_runs
from senn_ray.service import jobs

if TYPE_CHECKING:
    from senn_ray.data.examples import RawData
    from senn_ray.search.executor import Executor

FIXED = ((20, 2), (20, 20), (40, 2))
"""Steps and evaluations of the measured runs of fixed size."""
COLUMNS = ("runs", "certain", "steps", "device_s")
GROWING = (4, 2)
"""The same of the measured growing run, which has one check."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CostModel:
    """What a run pays, in device-seconds: once, per step, evaluation and growth check.

    Between the measured widths prices are linear, as the work of a dense layer is.
    """

    params: dict[int, int]
    """Parameters by measured width, ascending."""
    prices: dict[int, tuple[float, float, float, float]]
    """Device-seconds once, per step, evaluation and check, by the same widths."""

    def device_s(
        self, width: float, counts: tuple[float, float, float, float]
    ) -> float:
        """Predict the seconds of a run that pays each price so many times."""
        known, columns = list(self.prices), zip(*self.prices.values(), strict=True)
        prices = [float(np.interp(width, known, column)) for column in columns]
        return sum(n * price for n, price in zip(counts, prices, strict=True))


def plan(
    verb: Verb,
    config: Config,
    *,
    seeds: int | None = None,
    executor: jobs.MakeExecutor | None = None,
) -> dict[str, Any]:
    """List the runs of a job and predict their cost; train a few steps to know it.

    Args:
        verb: grow, compare or scan.
        config: The settings.
        seeds: Number of runs of ``grow`` (default: one).
        executor: Makes the executor of the short runs (default: this process, or the
            cluster if there is an address, more than one worker per run, or GPUs).

    Returns:
        JSON values. Costs are of all runs, also of those that are not certain; widths
        that depend on results are taken to be in the geometric middle, and trunks of
        growing runs as long as they may be::

            verb protocol_id started(false) where capacity wall_s
            calibration[{hidden params step_s evaluation_s check_s}]
            arms{arm or "total": {runs certain steps device_s}}
            runs[{run_id arm kind seed per_class hidden certain steps device_s}]
    """
    job, raw = jobs.prepare(verb, config, seeds or 1)
    cluster = config.cluster
    away = cluster.address or cluster.gpus_per_worker or cluster.workers_per_run > 1
    make = executor or (jobs.on_ray if away else jobs.in_process)
    with make(raw, cluster) as ready:
        model = measure(job, ready)
        capacity, where = ready.capacity, ready.where
    if not away:
        fitting = max((os.cpu_count() or 1) // cluster.cpus_per_worker, 1)
        capacity = min(fitting, cluster.max_parallel_runs or fitting)
    count, rows = _counter(job, raw), list[dict[str, Any]]()
    for run in planned_runs(job):
        width = run.hidden[0] if run.hidden else (job.lowest * job.highest) ** 0.5
        counts = count(run, width)
        seconds = model.device_s(width, counts)
        rows.append({
            **dataclasses.asdict(run),
            "steps": counts[1],
            "device_s": seconds,
        })
    costs = dict[str, dict[str, float]]()
    for row in rows:
        for arm in (row["arm"], "total"):
            sums = costs.setdefault(arm, dict.fromkeys(COLUMNS, 0))
            for name in COLUMNS:
                sums[name] += 1 if name == "runs" else row[name]
    costs["total"] = costs.pop("total")  # The last row.
    return {
        "verb": verb,
        "protocol_id": protocol.freeze(job, data_sha256="")["protocol_id"],
        "started": False,
        "where": where,
        "capacity": capacity,
        "wall_s": costs["total"]["device_s"] / (capacity * cluster.workers_per_run),
        "calibration": [
            {
                "hidden": width,
                "params": model.params[width],
                "step_s": step,
                "evaluation_s": evaluation,
                "check_s": check,
            }
            for width, (_, step, evaluation, check) in model.prices.items()
        ],
        "arms": costs,
        "runs": rows,
    }


def _counter(
    job: Plan, raw: "RawData"
) -> Callable[[PlannedRun, float], tuple[int, int, float, int]]:
    """Make what tells how often a run pays each price, by its schedule and its data."""
    from senn_ray.data.splits import split
    from senn_ray.training.decay import looks
    from senn_ray.training.schedule import make_schedule

    train, sizes = job.config.train, dict[object, tuple[int, int]]()

    def count(run: PlannedRun, width: float) -> tuple[int, int, float, int]:
        data = job.config.data.model_copy(update={"per_class": run.per_class})
        if run.per_class not in sizes:
            parts = split(raw, data)
            sizes[run.per_class] = (len(parts.train), len(parts.val))
        n_train, n_val = sizes[run.per_class]
        front = job.config.front if run.walks else None
        enabled = job.config.growth.enabled and run.kind == "grow"
        growth = job.config.growth.model_copy(update={"enabled": enabled})
        schedule = make_schedule(train, growth, front, n_train)
        count = rungs(front, width) if front else 1
        descent = schedule.descent(schedule.longest_trunk, count)
        steps = descent.start + count * descent.rung_steps
        evaluations = sum(
            schedule.evaluates(step, descent if step > descent.start else None)
            for step in range(steps + 1)
        )
        # The test part counts by its size; an evaluation may look at its part twice.
        tested = (
            len(raw.test_y) / n_val / looks(train) if find(run.arm).opens_test else 0
        )
        checks = len(schedule.checks) if run.kind == "grow" else 0
        return 1, steps, evaluations + tested, checks

    return count


def rungs(front: FrontConfig, width: float) -> int:
    """Estimate the number of rungs of a run whose trunk ends with a width."""
    by_ratio = math.ceil(math.log(max(width, 1.0)) / -math.log(front.ratio))
    count = 1 + (len(front.sizes) or by_ratio)
    return min(count, front.rungs or count)


def measure(job: Plan, executor: "Executor") -> CostModel:
    """Train a few steps at both ends and in the geometric middle of a job's widths."""
    widths = sorted({job.lowest, round((job.lowest * job.highest) ** 0.5), job.highest})
    _carry_out(executor, _short(job, widths[0], *FIXED[0]))  # The first run is slow.
    params, prices, check = {}, {}, 0.0
    for width in widths:
        runs = [_carry_out(executor, _short(job, width, *size)) for size in FIXED]
        seconds = [run.cost.device_s for run in runs]
        once, step, evaluation = np.linalg.solve(
            [[1, *size] for size in FIXED], seconds
        )
        if width < job.highest:  # At the cap nothing is checked.
            grown = _carry_out(executor, _short(job, width, *GROWING, growing=True))
            check = grown.cost.growth_s / max(grown.checks, 1)
        params[width] = runs[0].params
        # Noise of the clock must not make a negative price.
        prices[width] = (*(max(float(p), 0.0) for p in (once, step, evaluation)), check)
    return CostModel(params=params, prices=prices)


def _short(
    job: Plan, width: int, steps: int, evaluations: int, *, growing: bool = False
) -> RunSpec:
    """Specify a short run of a job, all of whose hidden layers have one width."""
    hidden = (width,) * max(len(job.config.model.hidden), 1)
    key = Key(arm=SENN if growing else GRID)
    spec = specs.fixed_spec(job, key, Choice(hidden=hidden))
    growth = {"enabled": growing, "check_every": 1, "check_spacing": 0.0}
    length = {"min_steps": steps, "max_steps": steps, "evaluations": evaluations}
    return dataclasses.replace(
        spec,
        run_id=f"plan-{width}-{steps}-{evaluations}",
        kind="grow" if growing else "fixed",
        growth=spec.growth.model_copy(update={**growth, "max_additions": 2}),
        train=spec.train.model_copy(update=length),
        evaluate_test=False,
    )


def _carry_out(executor: "Executor", spec: RunSpec) -> RunRecord:
    executor.submit(spec)
    records: list[RunRecord] = []
    while reports := executor.wait():
        records += [r.record for r in reports if isinstance(r, RunFinished)]
    if records[0].state == "failed":
        raise ResourceError(
            f"{spec.run_id}, a run of a few steps, failed: {records[0].error}; a job with "
            "these settings would fail too"
        )
    return records[0]

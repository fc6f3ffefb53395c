"""Plans: what a job would do and cost, from a few steps of training; starts nothing."""

import dataclasses
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from senn_ray.config import ClusterConfig, Config, TrainConfig
from senn_ray.core.errors import ResourceError
from senn_ray.core.events import RunFinished
from senn_ray.core.records import Progress, RunRecord, RunSpec
from senn_ray.search import protocol
from senn_ray.search.plan import (
    SENN,
    Choice,
    Key,
    Plan,
    Verb,
    check_settings,
    fixed_spec,
    grow_spec,
)
from senn_ray.service import jobs, prices

if TYPE_CHECKING:
    from senn_ray.data.examples import RawData
    from senn_ray.search.executor import Executor, LocalExecutor

GROWTH_STEPS = 4
"""Steps of the short growing run: one check on the way, and one at the end."""


def plan(
    verb: Verb,
    config: Config,
    *,
    seeds: int | None = None,
    executor: jobs.MakeExecutor | None = None,
) -> dict[str, Any]:
    """Tell what a job would do and cost; train a few steps per width to know it.

    Args:
        verb: grow, compare or scan.
        config: The settings.
        seeds: Self-expanding runs of ``grow`` (default: one).
        executor: Makes the executor of the short runs (default: this process, or the
            cluster if there is an address, more than one worker per run, or GPUs).

    Returns:
        See ``senn_ray/service/outlook.py``.
    """
    from senn_ray.data import datasets
    from senn_ray.service.outlook import outlook

    check_settings(verb, config)
    raw = datasets.load(config.data)
    if verb == "scan":
        config = jobs.with_sizes(config, raw)
    if verb == "grow":
        compared = config.compare.model_copy(update={"seeds": seeds or 1})
        config = config.model_copy(update={"compare": compared})
    job = Plan(verb=verb, config=config)
    frozen = protocol.freeze(job, data_sha256="")
    with (executor or _executor(config))(raw, config.cluster) as ready:
        measured = _measure(job, ready)
        capacity, where = _capacity(config, ready), ready.where
    found = outlook(job, measured, _length_of(raw), capacity=capacity)
    return {**found, "protocol_id": frozen["protocol_id"], "where": where}


def _executor(config: Config) -> jobs.MakeExecutor:
    cluster = config.cluster
    elsewhere = cluster.address or cluster.gpus_per_worker
    return jobs.on_ray if elsewhere or cluster.workers_per_run > 1 else _here


def _here(raw: "RawData", cluster: ClusterConfig) -> "LocalExecutor":
    """Make an executor that works as a worker on this machine would, without Ray."""
    import torch

    from senn_ray.runs.run import train_run
    from senn_ray.search.executor import LocalExecutor

    def run(spec: RunSpec, on_progress: Callable[[Progress], None]) -> RunRecord:
        torch.set_num_threads(cluster.cpus_per_worker)
        return train_run(spec, raw, on_progress=on_progress)

    return LocalExecutor(run)


def _capacity(config: Config, ready: "Executor") -> int:
    """Tell how many runs the job would have side by side."""
    cluster = config.cluster
    if _executor(config) is not _here:
        return ready.capacity
    fitting = max((os.cpu_count() or 1) // cluster.cpus_per_worker, 1)
    return min(fitting, cluster.max_parallel_runs or fitting)


def _length_of(raw: "RawData") -> Callable[[RunSpec], prices.Length]:
    """Make what tells how long a run is: its schedule, on its share of the data."""
    from senn_ray.data.splits import split
    from senn_ray.training.decay import looks
    from senn_ray.training.schedule import make_schedule

    sizes: dict[object, tuple[int, int]] = {}

    def length(spec: RunSpec) -> prices.Length:
        place = (spec.data.per_class, spec.data.val_per_class)
        if place not in sizes:
            parts = split(raw, spec.data)
            sizes[place] = (len(parts.train), len(parts.val))
        train, val = sizes[place]
        schedule = make_schedule(spec.train, spec.growth, train)
        test = len(raw.test_y) / val / looks(spec.train) if spec.evaluate_test else 0.0
        return prices.Length(
            steps=schedule.steps,
            evaluations=sum(map(schedule.evaluates, range(schedule.steps + 1))) + test,
            checks=len(schedule.checks) + 1,
        )

    return length


def _measure(job: Plan, executor: "Executor") -> prices.Prices:
    """Train a few steps at some widths, one run after the other."""
    ladder = prices.widths(job.lowest, job.highest)
    _carry_out(executor, _short(job, ladder[0], *prices.SHORT))  # The first is slow.
    params, parts = dict[int, int](), dict[int, prices.Parts]()
    for width in ladder:
        lengths = (prices.SHORT, prices.OFTEN, prices.LONG)
        runs = [_carry_out(executor, _short(job, width, *size)) for size in lengths]
        params[width] = runs[0].params
        parts[width] = prices.parts_of(*runs)
    checks = {
        # At the cap nothing is checked, and in the middle it is slow enough.
        width: prices.check_price(
            _carry_out(executor, _growing(job, width)), parts[width]
        )
        for width in ladder[:2]
        if width < job.highest
    }
    return prices.Prices(params=params, parts=parts, checks=checks)


def _short(job: Plan, width: int, steps: int, evaluations: int) -> RunSpec:
    name = f"plan-{width}-{steps}-{evaluations}"
    choice = Choice(hidden=_hidden(job, width))
    spec = fixed_spec(job, Key(arm="plan", study=0, trial=0), choice)
    train = _cut(spec.train, steps, evaluations)
    return dataclasses.replace(spec, run_id=name, train=train, evaluate_test=False)


def _hidden(job: Plan, width: int) -> tuple[int, ...]:
    """Give all hidden layers one width; prices are by that width."""
    return (width,) * max(len(job.config.model.hidden), 1)


def _growing(job: Plan, width: int) -> RunSpec:
    spec = grow_spec(job, Key(arm=SENN, study=0, trial=0))
    model = {"hidden": _hidden(job, width)}
    growth = {"check_every": 1, "check_spacing": 0.0, "max_additions": 2}
    return dataclasses.replace(
        spec,
        run_id=f"plan-grow-{width}",
        evaluate_test=False,
        model=spec.model.model_copy(update=model),
        train=_cut(spec.train, GROWTH_STEPS, 2),
        growth=spec.growth.model_copy(update=growth),
    )


def _cut(train: TrainConfig, steps: int, evaluations: int) -> TrainConfig:
    sizes = {"min_steps": steps, "max_steps": steps, "evaluations": evaluations}
    return train.model_copy(update=sizes)


def _carry_out(executor: "Executor", spec: RunSpec) -> RunRecord:
    executor.submit(spec)
    records: list[RunRecord] = []
    while reports := executor.wait():
        records += [_sound(r.record) for r in reports if isinstance(r, RunFinished)]
    return records[0]


def _sound(record: RunRecord) -> RunRecord:
    if record.state == "failed":
        raise ResourceError(
            f"{record.run_id}, a run of a few steps, failed: {record.error}; a job with "
            "these settings would fail too"
        )
    return record

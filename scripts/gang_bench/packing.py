"""What a small run costs beyond its training, once the workers are warm."""

import argparse
import dataclasses
import statistics
import time

from gang_bench.common import SPEC
from senn_ray.cluster_runtime.executor import RayExecutor
from senn_ray.cluster_runtime.session import open_session
from senn_ray.config import ClusterConfig
from senn_ray.core.events import RunFinished
from senn_ray.core.records import RunRecord
from senn_ray.data import datasets

SMALL = dataclasses.replace(
    SPEC,
    kind="fixed",
    train=SPEC.train.model_copy(
        update={"min_steps": 20, "max_steps": 20, "evaluations": 2}
    ),
)


def main(arguments: argparse.Namespace) -> None:
    """Carry out many small runs on one warm worker."""
    cluster = ClusterConfig(max_parallel_runs=1)
    raw = datasets.load(SMALL.data)
    with (
        open_session(cluster, cpus=1, object_store_mb=100) as session,
        RayExecutor(raw, cluster, session=session) as executor,
    ):
        started = time.perf_counter()
        _carry_out(executor, 1)
        cold = time.perf_counter() - started
        started = time.perf_counter()
        records = _carry_out(executor, arguments.runs)
        seconds = (time.perf_counter() - started) / arguments.runs
    inside = statistics.mean(record.wall_s for record in records)
    print(f"first run, cold: {cold:.1f} s")
    print(
        f"{arguments.runs} runs: {1e3 * seconds:.0f} ms each, of which "
        f"{1e3 * inside:.0f} ms in the run, {1e3 * (seconds - inside):.0f} ms beyond it"
    )


def _carry_out(executor: RayExecutor, count: int) -> list[RunRecord]:
    for number in range(count):
        executor.submit(dataclasses.replace(SMALL, run_id=f"run-{number}"))
    records: list[RunRecord] = []
    while len(records) < count:
        reports = [r for r in executor.wait() if isinstance(r, RunFinished)]
        records += [report.record for report in reports]
    return records

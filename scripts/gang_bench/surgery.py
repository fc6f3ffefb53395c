"""The cost of growth in a gang, against the same growth alone."""

import argparse
import dataclasses

from gang_bench.common import SPEC, finish
from senn_ray.cluster_runtime.executor import RayExecutor
from senn_ray.cluster_runtime.session import Session, open_session
from senn_ray.config import ClusterConfig
from senn_ray.core.records import RunRecord
from senn_ray.data import datasets

REPEATS = 3


def main(arguments: argparse.Namespace) -> None:
    """Grow the same network with 1 and 2 replicas, and compare the seconds."""
    del arguments
    with open_session(
        ClusterConfig(workers_per_run=2), cpus=2, object_store_mb=100
    ) as session:
        records = {size: _grow(session, size) for size in (1, 2)}
    for size, record in records.items():
        cost = record.cost
        growth_s = cost.growth_s / size
        print(
            f"{size} replicas: {record.checks} checks and the prunings take "
            f"{1e3 * growth_s:.0f} ms ({growth_s / record.wall_s:.0%} of the run), "
            f"{1e3 * growth_s / record.checks:.1f} ms a check"
        )
    alone, gang = (records[n].cost.growth_s / n for n in (1, 2))
    print(f"a gang of two takes {gang / alone:.2f} times as long for its growth")


def _grow(session: Session, size: int) -> RunRecord:
    """Return the least disturbed of some runs."""
    cluster = ClusterConfig(workers_per_run=size)
    raw = datasets.load(SPEC.data)
    spec = dataclasses.replace(SPEC, workers=size)
    with RayExecutor(raw, cluster, session=session) as executor:
        finish(executor, spec)  # Warm.
        records = [finish(executor, spec) for _ in range(REPEATS)]
    return min(records, key=lambda record: record.cost.growth_s)

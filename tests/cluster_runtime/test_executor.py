from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from senn_ray.cluster_runtime import executor as executor_module
from senn_ray.cluster_runtime.executor import RayExecutor
from senn_ray.cluster_runtime.session import Session
from senn_ray.config import ClusterConfig
from senn_ray.core.errors import ResourceError
from senn_ray.core.events import CapacityChanged, RunBegun, RunFinished, RunProgressed
from senn_ray.data.examples import RawData
from senn_ray.search.executor import RunFunction
from tests.cluster_runtime import doubles
from tests.search.executor_suite import (
    ExecutorSuite,
    drain,
    make_record,
    make_spec,
    run_well,
)

pytestmark = pytest.mark.ray
GANG = ClusterConfig(workers_per_run=2)


def _raw() -> RawData:
    # Larger than what Ray passes by value.
    x = np.ones((2000, 100), dtype=np.float32)
    y = np.zeros(2000, dtype=np.int64)
    return RawData(
        name="ones",
        task="classification",
        num_outputs=2,
        feature_shape=(100,),
        train_x=x,
        train_y=y,
        test_x=x[:10],
        test_y=y[:10],
        default_val_per_class=1,
    )


def _executor(
    session: Session,
    train: Any,
    cluster: ClusterConfig,
    *,
    raw: Any = None,
) -> RayExecutor:
    # Without data, workers need not load torch, which takes seconds.
    return RayExecutor(raw, cluster, train=train, session=session)


class TestRayExecutor(ExecutorSuite):
    @pytest.fixture(autouse=True)
    def _use(self, ray_runtime: Session) -> None:
        self.session = ray_runtime

    def make(self, run: RunFunction) -> RayExecutor:
        return _executor(self.session, doubles.Adapted(run), ClusterConfig())


def test_a_dead_worker_fails_its_run_only_and_is_replaced(ray_runtime) -> None:
    alone = ClusterConfig(max_parallel_runs=1, max_recoveries=1)
    train = doubles.Adapted(doubles.die_or_run)
    with _executor(ray_runtime, train, alone) as executor:
        for width in (2, 3, 4):
            executor.submit(make_spec(f"run-{width}", width=width))
        done = drain(executor)
    assert [done[f"run-{w}"].state for w in (2, 3, 4)] == [
        "complete",
        "failed",
        "complete",
    ]
    reason = done["run-3"].error or ""
    assert reason.startswith("worker process died: ")
    assert reason.endswith("(lost 2 times, --cluster.max-recoveries 1)")
    assert "\n" not in reason


def test_workers_stay_and_share_the_data(ray_runtime) -> None:
    alone = ClusterConfig(max_parallel_runs=1)
    with _executor(ray_runtime, doubles.tell_process, alone, raw=_raw()) as executor:
        for n in range(3):
            executor.submit(make_spec(f"run-{n}"))
        told = {record.error for record in drain(executor).values()}
    assert len(told) == 1
    assert (told.pop() or "").split()[1:] == ["False", "200000.0"]


def test_a_gang_sums_and_reports_once_and_outlives_a_poison_run(ray_runtime) -> None:
    once, well = GANG.model_copy(update={"max_recoveries": 0}), make_spec("run-2")
    with _executor(ray_runtime, doubles.sum_ranks, once) as executor:
        assert executor.capacity == 1
        executor.submit(make_spec("run-5", width=5))
        executor.submit(well)
        reports = []
        while more := executor.wait():
            reports += more
    reports = [report for report in reports if not isinstance(report, RunBegun)]
    failed, progress, finished = reports
    assert isinstance(failed, RunFinished)
    assert (failed.record.error or "").startswith("rank 1: worker process died: ")
    assert isinstance(progress, RunProgressed)
    expected = replace(make_record(well, error="2 replicas"), checksum="3.0")
    assert finished == RunFinished(record=expected)


def test_what_never_fits_is_refused_before_anything_starts(ray_runtime) -> None:
    huge = ClusterConfig(gpus_per_worker=8)
    with pytest.raises(ResourceError, match="asks for 8 GPUs; the largest node has 0"):
        _executor(ray_runtime, doubles.sum_ranks, huge).__enter__()


def test_a_full_disk_of_a_worker_is_tried_again_and_then_ends_the_job_uncounted(
    ray_runtime,
) -> None:
    alone = ClusterConfig(max_parallel_runs=1)
    train = doubles.Adapted(doubles.no_space_or_run)
    with _executor(ray_runtime, train, alone) as executor:
        executor.submit(make_spec("run-3", width=3))
        with pytest.raises(ResourceError, match=r"run-3 was begun 3 times .*No space"):
            drain(executor)


def test_nodes_that_come_and_go_change_what_is_in_flight(
    ray_runtime, monkeypatch
) -> None:
    monkeypatch.setattr(executor_module, "NODES_S", 0.0)
    nodes = [list(ray_runtime.nodes) * 3]
    monkeypatch.setattr(executor_module, "live_nodes", lambda: nodes[0])
    train = doubles.Adapted(run_well)
    changes = list[int]()
    with _executor(ray_runtime, train, ClusterConfig()) as executor:
        for n in range(4):
            executor.submit(make_spec(f"run-{n}"))
        while reports := executor.wait():
            changes += [r.capacity for r in reports if isinstance(r, CapacityChanged)]
            nodes[0] = list(ray_runtime.nodes)[:1]
    assert changes == [6, 2]

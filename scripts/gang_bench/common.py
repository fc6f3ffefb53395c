"""What the parts share: a short growing run on a gang whose processes are known."""

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from senn_ray.cluster_runtime.executor import RayExecutor
from senn_ray.cluster_runtime.worker import TrainRun
from senn_ray.config import (
    ClusterConfig,
    DataConfig,
    GrowthConfig,
    ModelConfig,
    TrainConfig,
)
from senn_ray.core.events import RunFinished
from senn_ray.core.records import Progress, RunRecord, RunSpec

SPEC = RunSpec(
    run_id="run",
    arm="senn",
    kind="grow",
    seed=1,
    data=DataConfig(),
    model=ModelConfig(),
    train=TrainConfig(min_steps=400, max_steps=400, evaluations=20),
    growth=GrowthConfig(),
)
"""Growing on digits, through several surgeries and prunings, in a few seconds."""


@dataclass(frozen=True)
class Traced:
    """Train as ever, and leave a file with the name of the process."""

    folder: Path
    train: TrainRun

    def __call__(
        self,
        spec: RunSpec,
        raw: Any,
        *,
        reducer: Any,
        on_progress: Callable[[Progress], None] | None,
    ) -> RunRecord:
        """Carry out a run."""
        (self.folder / str(os.getpid())).touch()
        return self.train(spec, raw, reducer=reducer, on_progress=on_progress)


def pids(folder: Path) -> list[int]:
    """List the processes that ``Traced`` has named and that still live."""
    named = [int(path.name) for path in folder.iterdir()]
    return [pid for pid in named if Path(f"/proc/{pid}").exists()]


def traced(cluster: ClusterConfig, folder: Path) -> Traced:
    """Make a gang's processes known in a folder."""
    return Traced(folder, TrainRun(cluster))


def finish(executor: RayExecutor, spec: RunSpec) -> RunRecord:
    """Carry out one run."""
    executor.submit(spec)
    (record,) = drain(executor)
    return record


def drain(executor: RayExecutor) -> list[RunRecord]:
    """Wait for all that is in flight."""
    records = []
    while reports := executor.wait():
        records += [r.record for r in reports if isinstance(r, RunFinished)]
    return records


def timeless(record: RunRecord) -> RunRecord:
    """Leave out seconds and interruptions: the rest is to be the same, bit for bit."""
    evaluations = [dataclasses.replace(e, device_s=0.0) for e in record.evaluations]
    cost = dataclasses.replace(
        record.cost, device_s=0.0, growth_s=0.0, wasted_device_s=0.0
    )
    return dataclasses.replace(
        record,
        evaluations=tuple(evaluations),
        cost=cost,
        wall_s=0.0,
        started_utc_s=0.0,
        interruptions=(),
    )

import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from senn_ray.cluster_runtime.executor import RayExecutor
from senn_ray.cluster_runtime.worker import TrainRun
from senn_ray.config import (
    ClusterConfig,
    DataConfig,
    GrowthConfig,
    ModelConfig,
    TrainConfig,
)
from senn_ray.core.records import RunSpec
from senn_ray.data import datasets
from senn_ray.runs.run import train_run
from tests.search.executor_suite import drain

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SPEC = RunSpec(
    run_id="run-0",
    arm="senn",
    kind="grow",
    seed=1,
    data=DataConfig(),
    model=ModelConfig(),
    # In float32 rounding may flip a decision between candidates that are worth the same.
    train=TrainConfig(min_steps=120, max_steps=120, evaluations=2, precision="float64"),
    growth=GrowthConfig(candidates=8, ascent_steps=5),
)


STEP, SURGERY = 30, 75
"""Messages: the first check comes before step 50, and has many."""


@dataclass(frozen=True)
class Mortal:
    """Train as ever, but in the run "mortal" rank 1 is killed in some messages."""

    train: TrainRun
    folder: Path
    """Keeps what has happened, so that the next process lives on."""

    def __call__(self, spec: RunSpec, *args: Any, reducer: Any, **others: Any) -> Any:
        told, send = 0, reducer.sum

        def mortal_sum(buffer: torch.Tensor) -> torch.Tensor:
            nonlocal told
            told += 1
            died = self.folder / str(told)
            if told in {STEP, SURGERY} and reducer.rank == 1 and not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return send(buffer)

        if spec.run_id == "mortal":
            reducer.sum = mortal_sum
        return self.train(spec, *args, reducer=reducer, **others)


def test_gangs_grow_what_one_replica_grows_and_deaths_change_nothing(
    ray_runtime, tmp_path
) -> None:
    raw = datasets.load(SPEC.data)
    cluster = ClusterConfig(workers_per_run=2)
    paths = {name: tmp_path / name / "final.pt" for name in ("alone", "gang", "mortal")}
    specs = {
        name: replace(SPEC, run_id=name, workers=2, checkpoint=str(path))
        for name, path in paths.items()
    }
    alone = train_run(replace(specs.pop("alone"), workers=1), raw)
    train = Mortal(TrainRun(cluster), tmp_path)
    with RayExecutor(raw, cluster, train=train, session=ray_runtime) as executor:
        for spec in specs.values():
            executor.submit(spec)
        done = drain(executor)
    assert [done[name].error for name in specs] == [None, None]
    gang, mortal = (done[name] for name in specs)

    assert gang.hidden == alone.hidden
    assert alone.hidden[0] > SPEC.model.hidden[0]
    assert gang.workers == 2
    # Sums in another order differ by rounding, which training then spreads.
    weights, gang_weights, _ = (
        torch.load(path, weights_only=True)["weights"] for path in paths.values()
    )
    torch.testing.assert_close(gang_weights, weights, rtol=1e-2, atol=2e-3)

    assert {path.name for path in tmp_path.iterdir()} >= {str(STEP), str(SURGERY)}
    assert mortal.checksum == gang.checksum
    assert mortal.expansions == gang.expansions
    assert len(mortal.interruptions) == 2
    for line in mortal.interruptions:
        assert line.startswith("rank 1: worker process died")
        assert "went on with 2 replicas" in line
    assert mortal.cost.wasted_device_s > gang.cost.wasted_device_s == 0

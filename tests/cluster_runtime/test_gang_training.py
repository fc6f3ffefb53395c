from dataclasses import replace
from pathlib import Path

import pytest
import torch

from senn_ray.cluster_runtime.executor import RayExecutor
from senn_ray.config import (
    ClusterConfig,
    DataConfig,
    GrowthConfig,
    ModelConfig,
    TrainConfig,
)
from senn_ray.records import RunRecord, RunSpec
from senn_ray.training import datasets
from tests.search.executor_suite import drain

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SPEC = RunSpec(
    run_id="run-0",
    arm="senn",
    kind="grow",
    seed=1,
    data=DataConfig(),
    model=ModelConfig(),
    train=TrainConfig(min_steps=120, max_steps=120, evaluations=2),
    growth=GrowthConfig(candidates=8, ascent_steps=5),
)


def test_one_and_two_replicas_grow_the_same_network(ray_runtime, tmp_path) -> None:
    raw = datasets.load(SPEC.data)

    def train(size: int) -> tuple[RunRecord, list[torch.Tensor]]:
        path: Path = tmp_path / str(size) / "final.pt"
        spec = replace(SPEC, workers=size, checkpoint=str(path))
        cluster = ClusterConfig(workers_per_run=size)
        with RayExecutor(raw, cluster, session=ray_runtime) as executor:
            executor.submit(spec)
            record = drain(executor)[SPEC.run_id]
        assert record.error is None
        return record, torch.load(path, weights_only=True)["weights"]

    (alone, weights), (gang, gang_weights) = train(1), train(2)
    assert gang.hidden == alone.hidden
    assert alone.hidden[0] > SPEC.model.hidden[0]
    assert gang.workers == 2
    # Sums in another order differ by rounding, which training then spreads.
    torch.testing.assert_close(gang_weights, weights, rtol=1e-2, atol=2e-3)

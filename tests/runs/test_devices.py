"""On a device no tensor of the host gets in the way, whatever a run does.

The device is pretended (``pretend_device.py``): what it cannot tell is in docs/design.md,
"Devices".
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from senn_ray.cluster_runtime.group import GlooGroup
from senn_ray.config import DataConfig
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.data.datasets import load
from senn_ray.data.examples import RawData
from senn_ray.runs.run import train_run
from senn_ray.training.checkpoints import CheckpointPolicy
from senn_ray.training.reducer import Reducer, SingleReducer
from tests.runs.pretend_device import MixedDevicesError, pretended_cuda, pretending
from tests.training.mortals import run_mortal
from tests.training.problems import rings, spec, waves
from tests.training.test_checkpoints import EndedError, end_at
from tests.training.threads import run_threaded

QUICK: dict[str, Any] = {
    "train__min_steps": 40,
    "train__evaluations": 4,
    "growth__check_every": 10,
    "growth__candidates": 8,
    "growth__ascent_steps": 2,
    "growth__max_additions": 2,
    "growth__absolute_threshold": 1e-3,
    "front__rung_steps": 3,
    "growth__significance": 0.5,
    "evaluate_test": True,
}
LAYERS = spec(
    **QUICK | {"train__min_steps": 80, "growth__check_every": 15},
    model__max_depth=2,
    model__activation="rational",
    model__hidden=(),
)
RUNS: dict[str, tuple[RunSpec, RawData, set[str]]] = {
    "regression, sampled": (
        spec(**QUICK, growth__curvature="sampled"),
        waves(150),
        {"widen", "prune"},
    ),
    "layers": (LAYERS, rings(150), {"insert_layer", "remove_layer"}),
    "natural": (
        spec(
            **QUICK | {"train__min_steps": 80},
            train__optimizer="natural",
            train__lr=0.1,
        ),
        rings(150),
        {"widen", "prune"},
    ),
    "by gradient": (spec(**QUICK, growth__score="gradient"), rings(150), {"rejected"}),
    "at random": (spec(**QUICK, growth__score="random"), rings(150), {"rejected"}),
    "convolutional": (
        spec(
            **QUICK | {"train__min_steps": 12, "growth__check_every": 4},
            train__batch_size=32,
            train__cooldown=0.6,
            growth__decision_examples=64,
            data__dataset="digits",
            data__per_class=20,
            data__val_per_class=10,
            model__kind="conv",
            model__channels=(4,),
            model__max_depth=2,
        ),
        load(DataConfig(dataset="digits")),
        {"widen", "prune", "insert_layer", "remove_layer"},
    ),
}


@pytest.fixture(autouse=True)
def _cuda() -> Iterator[None]:
    with pretended_cuda():
        yield


def on_device(run: RunSpec, raw: RawData, **how: Any) -> Callable[[Reducer], RunRecord]:
    def train(reducer: Reducer) -> RunRecord:
        with pretending():
            return train_run(run, raw, reducer=reducer, device="cuda", **how)

    return train


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_run_on_a_device_ends_with_the_bits_of_the_host(name: str) -> None:
    run, raw, kinds = RUNS[name]
    there = on_device(run, raw)(SingleReducer())
    assert there.device_name == "pretended"
    assert kinds <= {event.kind for event in there.expansions}
    here = train_run(run, raw)
    assert there.checksum == here.checksum
    assert there.expansions == here.expansions


@pytest.mark.slow
def test_a_run_goes_on_from_its_checkpoint_on_a_device(tmp_path: Path) -> None:
    raw, often = rings(150), CheckpointPolicy(every_steps=5)
    kept = replace(LAYERS, checkpoint=str(tmp_path / "final.pt"))
    with pytest.raises(EndedError):
        on_device(kept, raw, on_progress=end_at(12), checkpoints=often)(SingleReducer())
    record = on_device(kept, raw)(SingleReducer())
    assert record.interruptions[0].startswith("went on from step")
    assert record.checksum == train_run(LAYERS, raw).checksum


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "natural"])
def test_a_gang_on_devices_ends_with_the_bits_of_hosts(
    optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where replicas share the search, the factors, and the state of a lost one."""
    monkeypatch.setattr("senn_ray.training.natural.SHARED_ABOVE", 2)
    shared = {"growth__share": "candidates", "train__optimizer": optimizer}
    run, raw = spec(**QUICK, **shared), rings(150)
    here = run_threaded(2, lambda reducer: train_run(run, raw, reducer=reducer))
    there, _ = run_mortal(2, on_device(run, raw), deaths=[(1, 60)])
    assert [r.checksum for r in there] == [r.checksum for r in here]


def test_buffers_of_a_device_travel_through_the_host() -> None:
    class Echo:
        def rank(self) -> int:
            return 0

        size = rank

        def allreduce(self, buffers: list[torch.Tensor]) -> "Echo":
            assert buffers[0].device.type == "cpu"
            buffers[0].mul_(2)
            return self

        def wait(self) -> None: ...

    with pretending():
        total = GlooGroup(Echo()).sum(torch.ones(2, device="cuda"))
    assert total.device.type == "cuda"
    assert total.tolist() == [2, 2]


@pytest.mark.parametrize(
    "mix",
    [
        lambda here, there: here + there,
        lambda here, there: there.add_(here),
        lambda here, there: here.add_(there.sum()),
        lambda here, there: torch.cat([here, there]),
        lambda here, there: there @ here,
        lambda here, there: there.index_select(0, here.int()),
        lambda here, there: there[here > 0],
        lambda here, there: torch.where(here > 0, there, 0),
        lambda _, there: torch.randn(
            2, device=there.device, generator=torch.Generator()
        ),
    ],
)
def test_the_pretended_device_refuses_what_a_gpu_refuses(mix) -> None:
    with pretending(), pytest.raises(MixedDevicesError):
        mix(torch.ones(2), torch.ones(2).to("cuda"))

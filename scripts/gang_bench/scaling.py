"""Time per step against the number of replicas, and a small model of it."""

import argparse
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gang_bench.common import SPEC, drain
from gang_bench.model import Machine, fit, predict
from senn_ray.cluster_runtime.executor import RayExecutor
from senn_ray.cluster_runtime.session import Session, open_session
from senn_ray.config import ClusterConfig
from senn_ray.records import RunRecord, RunSpec
from senn_ray.search.executor import failed_record
from senn_ray.tasks import prepare
from senn_ray.training.data import RawData
from senn_ray.training.loop import train_step

INPUTS, CLASSES = 784, 10
SIZES = (1, 2, 4)
MESSAGES = (1, 1_000, 10_000, 100_000, 1_000_000, 4_000_000)
"""Numbers of 4 bytes."""
MEET_S = 120.0
"""Seconds that runs side by side wait for each other to start."""


@dataclass(frozen=True)
class Steps:
    """Take steps, and write how long they and their messages took."""

    folder: Path
    count: int
    companions: int = 0
    """Other runs that have nothing to do with this one, but start when it does."""

    def __call__(
        self, spec: RunSpec, raw: Any, *, reducer: Any, on_progress: Any
    ) -> RunRecord:
        """Measure on one replica."""
        del on_progress
        torch.set_num_threads(1)
        from senn_ray.training.reducer import SingleReducer

        reducer = reducer or SingleReducer()
        reducer.join()
        clock = _Clocked(reducer)
        replica = prepare(spec, raw, reducer=clock, device="cpu")
        rows = []
        self._meet(spec.run_id)
        for step in range(self.count):
            clock.seconds, clock.bytes = 0.0, 0
            started, worked = time.perf_counter(), time.process_time()
            train_step(replica, step, 1e-3)
            seconds = time.perf_counter() - started
            worked = time.process_time() - worked
            rows.append((seconds, clock.seconds, clock.bytes, worked))
        found = {"rows": rows[5:], "params": replica.num_params}
        if reducer.size > 1:
            found["messages"] = [_message(reducer, n) for n in MESSAGES]
        path = self.folder / f"{spec.run_id}-{reducer.rank}.json"
        path.write_text(json.dumps(found))
        return failed_record(spec, "measured")

    def _meet(self, name: str) -> None:
        (self.folder / f"{name}.ready").touch()
        deadline = time.monotonic() + MEET_S
        while len([*self.folder.glob("*.ready")]) <= self.companions:
            if time.monotonic() > deadline:
                raise SystemExit(f"{name}: its companions did not start")
            time.sleep(0.001)


class _Clocked:
    """A reducer that times its messages."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.rank, self.size = inner, inner.rank, inner.size
        self.seconds, self.bytes = 0.0, 0

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Sum, and add to the counts."""
        started = time.perf_counter()
        result = self.inner.sum(buffer)
        self.seconds += time.perf_counter() - started
        self.bytes += buffer.numel() * buffer.element_size()
        return result


def _message(reducer: Any, numbers: int) -> tuple[int, float]:
    buffer = torch.ones(numbers)
    times = []
    for _ in range(20):
        reducer.sum(torch.ones(1))  # Start together.
        started = time.perf_counter()
        reducer.sum(buffer)
        times.append(time.perf_counter() - started)
    return 4 * numbers, sorted(times)[len(times) // 4]


def main(arguments: argparse.Namespace) -> None:
    """Measure strong and weak scaling, fit the model and print what it predicts."""
    cluster = ClusterConfig(workers_per_run=max(SIZES))
    with open_session(cluster, cpus=max(SIZES), object_store_mb=300) as session:
        raw = _data(4 * arguments.batch)
        found = {
            (kind, size): _measure(session, raw, arguments, size, kind)
            for size in SIZES
            for kind in ("strong", "weak")
            if (kind, size) != ("weak", 1)
        }
        for size in SIZES[1:]:
            found["apart", size] = _measure(session, raw, arguments, size, "apart")
    _print_scaling(found, arguments)
    alone = found["strong", 1]
    machine = fit(
        flops=6.0 * alone["params"] * arguments.batch / alone["step_s"],
        messages={n: found["strong", n]["messages"] for n in SIZES if n > 1},
    )
    _print_model(machine, params=alone["params"], batch=arguments.batch)


def _data(count: int) -> RawData:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (count + 100, INPUTS), dtype=np.uint8)
    y = np.arange(count + 100) % CLASSES
    return RawData(
        name="noise",
        task="classification",
        num_outputs=CLASSES,
        feature_shape=(1, 28, 28),
        train_x=x,
        train_y=y,
        test_x=x[:100],
        test_y=y[:100],
        default_val_per_class=10,
    )


def _specs(arguments: argparse.Namespace, size: int, kind: str) -> list[RunSpec]:
    """Specify a gang, or (apart) as many runs of their own with a share of the batch."""
    factor = {"weak": size, "strong": 1, "apart": 1 / size}[kind]
    batch = round(arguments.batch * factor)
    spec = dataclasses.replace(
        SPEC,
        kind="fixed",
        workers=1 if kind == "apart" else size,
        model=SPEC.model.model_copy(update={"hidden": (arguments.width,)}),
        train=SPEC.train.model_copy(update={"batch_size": batch}),
    )
    count = size if kind == "apart" else 1
    names = [f"{kind}-{size}-{number}" for number in range(count)]
    return [dataclasses.replace(spec, run_id=name) for name in names]


def _measure(
    session: Session, raw: RawData, arguments: argparse.Namespace, size: int, kind: str
) -> dict[str, Any]:
    specs = _specs(arguments, size, kind)
    cluster = ClusterConfig(workers_per_run=specs[0].workers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Every replica of a gang says that it is ready; they wait for each other anyway.
        companions = len(specs) - 1
        train = Steps(folder, arguments.steps + 5, companions)
        with RayExecutor(raw, cluster, train=train, session=session) as executor:
            for spec in specs:
                executor.submit(spec)
            records = drain(executor)
        paths = sorted(folder.glob("*.json"))
        if len(paths) != size:
            raise SystemExit(f"{specs[0].run_id} failed: {records[0].error}")
        told = [json.loads(path.read_text()) for path in paths]
    steps = np.array([found["rows"] for found in told])  # [replica, step, 4]
    # The least busy quarter of the steps: others use this machine too.
    best = np.argsort(steps[0, :, 0])[: max(steps.shape[1] // 4, 1)]
    return {
        "params": told[0]["params"],
        "step_s": float(np.median(steps[0, best, 0])),
        # Who waits least for the others tells what the message itself takes.
        "message_s": float(np.median(steps[:, best, 1].min(0))),
        "bytes": int(steps[0, 0, 2]),
        # All replicas together, messages included; waiting is not work.
        "work_s": float(np.median(steps[:, :, 3], axis=1).sum()),
        "messages": told[0].get("messages", []),
    }


def _print_scaling(found: dict[Any, Any], arguments: argparse.Namespace) -> None:
    alone = found["strong", 1]
    params = alone["params"]
    print(f"width {arguments.width}, batch {arguments.batch}, {params} parameters")
    print(
        "kind    replicas  ms/step  efficiency  by work  in messages  bytes / gradient"
    )
    for (kind, size), row in found.items():
        times = size if kind == "weak" else 1
        ideal = alone["step_s"] * times / size
        by_work = alone["work_s"] * times / row["work_s"]
        sends = size > 1 and kind != "apart"
        share = row["message_s"] / row["step_s"] if sends else 0.0
        print(
            f"{kind:7} {size:8}  {1e3 * row['step_s']:7.1f}  "
            f"{ideal / row['step_s']:9.0%}  {by_work:8.0%}  {share:10.1%}  "
            f"{row['bytes'] / (4 * params) if sends else 0.0:15.5f}"
        )
    print("apart: as many processes that send nothing, what the machine gives at most")
    print(
        f"{max(SIZES)} replicas share {os.cpu_count()} cores; by work: CPU seconds alone "
        "over those of the gang, which other programs on the machine do not change"
    )


def _print_model(machine: Machine, *, params: int, batch: int) -> None:
    print(
        f"model: {machine.flops / 1e9:.1f} GFLOP/s a replica, "
        f"{1e3 * machine.latency_s:.2f} ms a hop, "
        f"{machine.bytes_per_s / 1e9:.2f} GB/s a link"
    )
    print("replicas   strong: ms/step, in messages   weak: ms/step, in messages")
    for n in (8, 16, 32, 64, 128, 256, 512, 1024):
        cells = []
        for examples in (batch, batch * n):
            step = predict(machine, replicas=n, params=params, batch=examples)
            share = step.message_s / step.seconds
            cells.append(f"{1e3 * step.seconds:15.1f} {share:10.0%}    ")
        print(f"{n:8} " + " ".join(cells))
    _print_turn(machine, params, lambda _: batch, "strong")
    _print_turn(machine, params, lambda n: batch * n, "weak")


def _print_turn(
    machine: Machine, params: int, batch: Callable[[int], int], kind: str
) -> None:
    for n in range(2, 100_000):
        step = predict(machine, replicas=n, params=params, batch=batch(n))
        if step.message_s > step.seconds / 2:
            print(
                f"{kind}: messages take more than half of a step from {n} replicas on"
            )
            return
    print(f"{kind}: messages never take half of a step")

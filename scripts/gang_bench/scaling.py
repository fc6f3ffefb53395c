"""Time per step against the number of replicas, and a small model of it."""

import argparse
import dataclasses
import json
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
from gang_bench.timed import Timed, pooled, print_scaling
from senn_ray.cluster_runtime.executor import RayExecutor
from senn_ray.cluster_runtime.session import Session, open_session
from senn_ray.config import ClusterConfig
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.data.examples import RawData
from senn_ray.runs.loop import train_step
from senn_ray.runs.run import prepare
from senn_ray.search.executor import failed_record

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
        run = prepare(spec, raw, reducer=clock, device="cpu")
        rows = []
        self._meet(spec.run_id)
        for step in range(self.count):
            started, worked = time.perf_counter(), time.process_time()
            train_step(run, step, 1e-3)
            ended, worked = time.perf_counter(), time.process_time() - worked
            rows.append((started, clock.arrived, clock.left, ended, worked))
        found = {"rows": rows[5:], "params": run.num_params, "bytes": clock.bytes}
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
    """A reducer that notes when it was asked for its message, the only one of a step.

    The clock is that of the machine, so that replicas can be compared.
    """

    def __init__(self, inner: Any) -> None:
        self.inner, self.rank, self.size = inner, inner.rank, inner.size
        self.arrived = self.left = 0.0
        self.bytes = 0

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Sum, and note when."""
        self.arrived = time.perf_counter()
        result = self.inner.sum(buffer)
        self.left = time.perf_counter()
        self.bytes = buffer.numel() * buffer.element_size()
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
    """Measure strong and weak scaling, fit the model and print what it predicts.

    In rounds: other programs on the machine, or beside it, come and go.
    """
    cluster = ClusterConfig(workers_per_run=max(SIZES))
    with open_session(cluster, cpus=max(SIZES), object_store_mb=300) as session:
        raw = _data(4 * arguments.batch)
        rounds = [_round(session, raw, arguments) for _ in range(arguments.rounds)]
    print_scaling(rounds, width=arguments.width, batch=arguments.batch)
    alone = pooled(rounds, ("strong", 1))
    params = alone.params
    machine = fit(
        flops=6.0 * params * arguments.batch / alone.step_s,
        messages={
            n: [m for found in rounds for m in found["strong", n].messages]
            for n in SIZES
            if n > 1
        },
    )
    _print_model(machine, params=params, batch=arguments.batch)


def _round(
    session: Session, raw: RawData, arguments: argparse.Namespace
) -> dict[tuple[str, int], Timed]:
    cases = [("strong", 1)]
    cases += [(k, n) for n in SIZES if n > 1 for k in ("strong", "apart", "weak")]
    return {(k, n): _measure(session, raw, arguments, n, k) for k, n in cases}


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
) -> Timed:
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
    first = told[0]
    return Timed(
        steps=np.array([found["rows"] for found in told]),
        params=first["params"],
        bytes=first["bytes"] if size > 1 and kind != "apart" else 0,
        messages=first.get("messages", []),
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

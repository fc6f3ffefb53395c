"""Seconds from SIGKILL to the first step that is complete again."""

import argparse
import os
import signal
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gang_bench.common import SPEC, finish, pids
from senn_ray.cluster_runtime.executor import RayExecutor
from senn_ray.cluster_runtime.session import Session, open_session
from senn_ray.cluster_runtime.worker import TrainRun
from senn_ray.config import ClusterConfig
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.data import datasets

KILLS = 3


@dataclass(frozen=True)
class Stamped:
    """Train as ever, and write down when each step was complete."""

    folder: Path
    train: TrainRun

    def __call__(self, spec: RunSpec, *args: Any, **others: Any) -> RunRecord:
        """Carry out a run."""
        from senn_ray.runs import loop

        path = self.folder / str(os.getpid())
        step = getattr(loop, "unstamped", loop.train_step)
        vars(loop)["unstamped"] = step

        def stamped(*args: Any) -> float:
            result = step(*args)
            with path.open("a") as file:
                file.write(f"{time.time()}\n")
            return result

        path.touch()
        loop.train_step = stamped
        return self.train(spec, *args, **others)


def main(arguments: argparse.Namespace) -> None:
    """Kill replicas of one gang, with and without a spare."""
    del arguments
    most = ClusterConfig(workers_per_run=2, spares=1)
    with open_session(most, cpus=3, object_store_mb=100) as session:
        for spares in (1, 0):
            times = sorted(_measure(session, spares))
            print(
                f"{spares} spares: training again {times[KILLS // 2]:.2f} s after "
                f"SIGKILL (median of {KILLS}: {', '.join(f'{t:.2f}' for t in times)})",
                flush=True,
            )


def _measure(session: Session, spares: int) -> list[float]:
    cluster = ClusterConfig(workers_per_run=2, spares=spares)
    raw = datasets.load(SPEC.data)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train = Stamped(folder, TrainRun(cluster))
        with RayExecutor(raw, cluster, train=train, session=session) as executor:
            return [_again(executor, folder, kill) for kill in range(KILLS)]


def _again(executor: RayExecutor, folder: Path, kill: int) -> float:
    for _ in range(2):  # Warm, and the spare has had time to come back.
        finish(executor, SPEC)
    for path in folder.iterdir():
        path.write_text("")
    killed = _Killer(folder, rank=kill % 2)
    killed.start()
    finish(executor, SPEC)
    killed.join()
    stamps = [float(s) for path in folder.iterdir() for s in path.read_text().split()]
    return min(stamp for stamp in stamps if stamp > killed.at + 0.01) - killed.at


class _Killer(threading.Thread):
    """Kill one of the replicas that train, in the midst of the run."""

    def __init__(self, folder: Path, rank: int) -> None:
        super().__init__()
        self.folder, self.number, self.at = folder, rank, 0.0

    def run(self) -> None:
        """Wait until both have taken steps, and strike."""
        while len(busy := self._busy()) < 2:
            time.sleep(0.01)
        os.kill(busy[self.number], signal.SIGKILL)
        self.at = time.time()

    def _busy(self) -> list[int]:
        sizes = {
            pid: (self.folder / str(pid)).stat().st_size for pid in pids(self.folder)
        }
        return [pid for pid, size in sizes.items() if size > 2000]

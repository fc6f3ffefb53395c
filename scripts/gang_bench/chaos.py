"""Kill and stop replicas at random moments; every run ends as if nothing had been."""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from gang_bench.common import SPEC, finish, pids, timeless, traced
from senn_ray.cluster_runtime.executor import RayExecutor
from senn_ray.cluster_runtime.session import open_session
from senn_ray.config import ClusterConfig
from senn_ray.data import datasets

CLUSTER = ClusterConfig(workers_per_run=2, spares=1, silence_s=5, max_recoveries=6)


def main(arguments: argparse.Namespace) -> None:
    """Disturb run after run, and compare each with an undisturbed one."""
    chance = random.Random(arguments.seed)
    with (
        open_session(CLUSTER, cpus=3, object_store_mb=100) as session,
        tempfile.TemporaryDirectory() as folder,
    ):
        known = Path(folder)
        train = traced(CLUSTER, known)
        raw = datasets.load(SPEC.data)
        with RayExecutor(raw, CLUSTER, train=train, session=session) as executor:
            finish(executor, SPEC)  # Warm.
            started = time.monotonic()
            expected = timeless(finish(executor, SPEC))
            if expected.state != "complete":
                sys.exit(f"the undisturbed run failed: {expected.error}")
            seconds = time.monotonic() - started
            print(f"undisturbed: {seconds:.1f} s, {expected.hidden[0]} units")
            wrong = 0
            for number in range(arguments.runs):
                stop = threading.Event()
                blows = _blows(chance, seconds)
                hand = threading.Thread(
                    target=_strike, args=(blows, known, chance, stop)
                )
                hand.start()
                record = finish(executor, SPEC)
                stop.set()
                hand.join()
                same = timeless(record) == expected
                wrong += not same
                print(
                    f"run {number}: {'the same' if same else 'DIFFERENT'}, "
                    f"{record.wall_s:.1f} s, wasted {record.cost.wasted_device_s:.1f} s "
                    f"of {CLUSTER.workers_per_run} devices; "
                    f"{[name for _, name in blows]} {list(record.interruptions)} "
                    f"{record.error or ''}",
                    flush=True,
                )
    print(f"{arguments.runs - wrong} of {arguments.runs} runs ended the same")


def _blows(chance: random.Random, seconds: float) -> list[tuple[float, str]]:
    """Choose one or two moments, and what happens then."""
    count = chance.choice([1, 1, 2])
    names = chance.choices(["SIGKILL", "SIGSTOP"], weights=[3, 1], k=count)
    return sorted((chance.uniform(0, seconds), name) for name in names)


def _strike(
    blows: list[tuple[float, str]],
    known: Path,
    chance: random.Random,
    stop: threading.Event,
) -> None:
    started = time.monotonic()
    for moment, name in blows:
        if stop.wait(max(started + moment - time.monotonic(), 0)):
            return
        alive = pids(known)
        if alive:
            os.kill(chance.choice(alive), getattr(signal, name))

"""A node is removed in the midst of a run: the gang goes on on what is left."""

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path

from gang_bench.common import SPEC, finish, pids, timeless, traced
from senn_ray.cluster_runtime.executor import RayExecutor
from senn_ray.cluster_runtime.session import open_session
from senn_ray.config import ClusterConfig
from senn_ray.data import datasets


def main(arguments: argparse.Namespace) -> None:
    """Start a cluster of three nodes on this machine, and remove one that trains."""
    del arguments
    os.environ["RAY_AUTH_MODE"] = "disabled"
    from ray.cluster_utils import Cluster  # noqa: TID251 - several nodes, one machine

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    workers = [nodes.add_node(num_cpus=1) for _ in range(3)]
    cluster = ClusterConfig(
        address=nodes.address, workers_per_run=2, placement="SPREAD"
    )
    raw = datasets.load(SPEC.data)
    try:
        with (
            open_session(cluster) as session,
            tempfile.TemporaryDirectory() as folder,
        ):
            train = traced(cluster, Path(folder))
            with RayExecutor(raw, cluster, train=train, session=session) as executor:
                finish(executor, SPEC)  # Warm.
                expected = timeless(finish(executor, SPEC))
                busy = [w for w in workers if _trains(w, pids(Path(folder)))]
                hand = threading.Thread(target=_remove, args=(nodes, busy[0]))
                hand.start()
                record = finish(executor, SPEC)
                hand.join()
    finally:
        nodes.shutdown()
    print(*record.interruptions, record.error or "", sep="\n")
    print("the same" if timeless(record) == expected else "DIFFERENT")


def _remove(nodes: object, node: object) -> None:
    time.sleep(1.0)
    nodes.remove_node(node, allow_graceful=False)  # type: ignore[attr-defined]


def _trains(node: object, workers: list[int]) -> bool:
    """Tell whether one of some processes is a child of the node's raylet."""
    raylet = node.all_processes["raylet"][0].process.pid  # type: ignore[attr-defined]
    parents = [
        int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        for pid in workers
    ]
    return raylet in parents

"""What a cluster has, what a run asks for, and how many runs fit. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

from senn_ray.config import ClusterConfig
from senn_ray.core.errors import ResourceError

# Ray counts resources in ten-thousandths.
_GRAIN = 1e-4
STRICT = "STRICT_SPREAD"


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """The resources of one machine."""

    cpus: float
    gpus: float


def describe(nodes: Sequence[Node]) -> str:
    """Name what a cluster has, for people: ``2 CPUs`` or ``32 CPUs, 4 GPUs, 2 nodes``."""
    gpus = sum(node.gpus for node in nodes)
    parts = [_count(sum(node.cpus for node in nodes), "CPU")]
    parts += [_count(gpus, "GPU")] if gpus else []
    parts += [_count(len(nodes), "node")] if len(nodes) > 1 else []
    return ", ".join(parts)


def runs_that_fit(cluster: ClusterConfig, nodes: Sequence[Node]) -> int:
    """Count the runs that may be side by side.

    A replica lies on one node; the replicas of a gang may lie on several.

    Returns:
        At least one, at most ``cluster.max_parallel_runs``.

    Raises:
        ResourceError: if not even one run would ever fit.
    """
    gang = cluster.workers_per_run + cluster.spares
    held = [_on_one_node(cluster, node) for node in nodes]
    replicas = _spread(held, gang) if cluster.placement == STRICT else sum(held)
    asked = [
        ("GPU", "gpus_per_worker", cluster.gpus_per_worker, [n.gpus for n in nodes]),
        ("CPU", "cpus_per_worker", cluster.cpus_per_worker, [n.cpus for n in nodes]),
    ]
    for unit, key, wanted, offers in asked:
        if wanted > max(offers, default=0) + _GRAIN:
            raise ResourceError(
                f"each replica asks for {_count(wanted, unit)}; the largest node has "
                f"{max(offers, default=0):g} (cluster: {describe(nodes)}). It would wait "
                f"for ever. Lower --cluster.{key.replace('_', '-')}, or give "
                "--cluster.address of a larger cluster"
            )
    if gang > replicas:
        needs = _count(cluster.cpus_per_worker, "CPU")
        if cluster.gpus_per_worker:
            needs += f" and {_count(cluster.gpus_per_worker, 'GPU')}"
        spares = f" and {_count(cluster.spares, 'spare')}" if cluster.spares else ""
        lower = " or --cluster.spares" if cluster.spares else ""
        apart = ", each on a node of its own" if cluster.placement == STRICT else ""
        raise ResourceError(
            f"each run asks for {cluster.workers_per_run} replicas{spares} of "
            f"{needs}{apart}; the cluster ({describe(nodes)}) holds {replicas}. It would wait "
            "for ever. Lower "
            f"--cluster.workers-per-run{lower}, or give --cluster.address of a larger "
            "cluster"
        )
    fitting = replicas // gang
    return min(fitting, cluster.max_parallel_runs or fitting)


def _spread(held: Sequence[int], gang: int) -> int:
    """Count the replicas that fit if those of a gang lie on different nodes."""
    gangs = 0
    while sum(min(n, gangs + 1) for n in held) >= (gangs + 1) * gang:
        gangs += 1
    return gangs * gang or sum(n > 0 for n in held)


def _on_one_node(cluster: ClusterConfig, node: Node) -> int:
    """Count the replicas that a node holds."""
    by_cpu = int((node.cpus + _GRAIN) // cluster.cpus_per_worker)
    if not cluster.gpus_per_worker:
        return by_cpu
    return min(by_cpu, int((node.gpus + _GRAIN) // cluster.gpus_per_worker))


def _count(number: float, unit: str) -> str:
    return f"{number:g} {unit}" if number == 1 else f"{number:g} {unit}s"

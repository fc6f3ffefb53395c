import pytest

from senn_ray.cluster_runtime.resources import (
    Node,
    describe,
    runs_that_fit,
)
from senn_ray.config import ClusterConfig
from senn_ray.core.errors import ResourceError

LAPTOP = [Node(cpus=2, gpus=0)]
CLUSTER = [Node(cpus=16, gpus=0), Node(cpus=8, gpus=2), Node(cpus=8, gpus=2)]


@pytest.mark.parametrize(
    ("asked", "nodes", "runs"),
    [
        ({}, LAPTOP, 2),
        ({"max_parallel_runs": 1}, LAPTOP, 1),
        ({"max_parallel_runs": 9}, LAPTOP, 2),
        ({"cpus_per_worker": 2}, LAPTOP, 1),
        ({"workers_per_run": 2}, LAPTOP, 1),
        ({}, CLUSTER, 32),
        ({"cpus_per_worker": 3}, CLUSTER, 9),
        ({"gpus_per_worker": 1}, CLUSTER, 4),
        ({"gpus_per_worker": 0.1}, CLUSTER, 16),
        ({"gpus_per_worker": 1, "workers_per_run": 3}, CLUSTER, 1),
        ({"gpus_per_worker": 1, "workers_per_run": 1, "spares": 1}, CLUSTER, 2),
    ],
)
def test_as_many_runs_as_the_scarcest_resource_allows(asked, nodes, runs) -> None:
    assert runs_that_fit(ClusterConfig(**asked), nodes) == runs


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"gpus_per_worker": 1},
            r"each replica asks for 1 GPU; the largest node has 0 \(cluster: 2 CPUs\)"
            r".*--cluster\.gpus-per-worker",
        ),
        ({"cpus_per_worker": 3}, r"3 CPUs; the largest node has 2 .*cpus-per-worker"),
        (
            {"workers_per_run": 3},
            r"3 replicas of 1 CPU; the cluster \(2 CPUs\) holds 2.*workers-per-run",
        ),
        (
            {"workers_per_run": 2, "spares": 1},
            r"2 replicas and 1 spare of 1 CPU; the cluster .* or --cluster\.spares",
        ),
    ],
)
def test_what_can_never_fit_is_an_error_that_says_what_to_type(asked, message) -> None:
    with pytest.raises(ResourceError, match=message):
        runs_that_fit(ClusterConfig(**asked), LAPTOP)


def test_a_cluster_without_nodes_fits_nothing() -> None:
    with pytest.raises(ResourceError, match="the largest node has 0"):
        runs_that_fit(ClusterConfig(), [])


def test_resources_are_named_for_people() -> None:
    assert describe(LAPTOP) == "2 CPUs"
    assert describe([Node(cpus=1, gpus=1)]) == "1 CPU, 1 GPU"
    assert describe(CLUSTER) == "32 CPUs, 4 GPUs, 3 nodes"


@pytest.mark.parametrize(
    ("held", "gang", "runs"),
    [([4, 4], 2, 4), ([4, 1], 2, 1), ([3, 2, 1], 2, 3), ([2, 2, 2], 3, 2)],
)
def test_replicas_that_must_lie_apart_fill_nodes_one_by_one(held, gang, runs) -> None:
    cluster = ClusterConfig(workers_per_run=gang, placement="STRICT_SPREAD")
    nodes = [Node(cpus=n, gpus=0) for n in held]
    assert runs_that_fit(cluster, nodes) == runs


def test_more_replicas_apart_than_nodes_are_refused() -> None:
    cluster = ClusterConfig(workers_per_run=3, placement="STRICT_SPREAD")
    nodes = [Node(cpus=8, gpus=0)] * 2
    with pytest.raises(ResourceError, match=r"each on a node of its own.*holds 2\."):
        runs_that_fit(cluster, nodes)

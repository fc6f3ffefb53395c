import os
import signal
import sys

import pytest
import ray

from senn_ray.cluster_runtime import session
from senn_ray.config import ClusterConfig
from senn_ray.core.errors import ResourceError


@pytest.mark.ray
def test_a_private_cluster_is_reached_through_the_loopback_device_only(
    ray_runtime,
) -> None:
    (node,) = ray.nodes()
    assert node["NodeManagerAddress"] == "127.0.0.1"
    assert ray_runtime.where == "local Ray, 2 CPUs"


@pytest.mark.ray
def test_starting_a_private_cluster_leaves_no_trace_for_the_next_one(
    ray_runtime,
) -> None:
    from ray._private import ray_constants

    assert ray_runtime.nodes
    assert os.environ.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER") != "0"
    expected = sys.platform == "linux"
    assert ray_constants.ENABLE_RAY_CLUSTER is expected


def test_too_few_cores_are_told_before_ray_is_started(monkeypatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(session, "_connected", None)
    wide = ClusterConfig(cpus_per_worker=1000)
    with (
        pytest.raises(ResourceError, match="asks for 1000 CPUs"),
        session.open_session(wide),
    ):
        pass


def test_sigterm_ends_a_session_like_an_interrupt() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with session._interrupt_on_sigterm(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before

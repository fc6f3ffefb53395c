import os
import signal
import subprocess
import sys

import pytest
import ray

from senn_ray.cluster_runtime import session
from senn_ray.cluster_runtime.reach import find_head
from senn_ray.cluster_runtime.resources import Node
from senn_ray.config import ClusterConfig
from senn_ray.core.errors import ConfigError, ResourceError


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


@pytest.mark.ray
def test_a_private_cluster_lets_nobody_in_who_has_not_its_token(ray_runtime) -> None:
    assert ray_runtime.nodes
    address = ray.get_runtime_context().gcs_address
    token = os.environ["RAY_AUTH_TOKEN"]
    assert len(token) == 64
    assert find_head(address)[0] == address
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN", "0" * 64)
        with pytest.raises(ResourceError, match="takes another token"):
            find_head(address)
        patch.setenv("RAY_AUTH_MODE", "disabled")
        with pytest.raises(ResourceError, match="wants a token"):
            find_head(address)
    assert not any(token in line for line in _command_lines())


def _command_lines() -> list[str]:
    listing = ["ps", "-eo", "args="]
    shown = subprocess.run(listing, capture_output=True, text=True, check=True)
    return shown.stdout.splitlines()


@pytest.mark.ray
def test_a_ray_that_the_caller_has_joined_is_used_and_left_as_it_is(
    ray_runtime, monkeypatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(session, "_connected", None)
    with session.open_session(ClusterConfig()) as opened:
        assert opened.nodes == ray_runtime.nodes
        assert "joined before" in opened.where
    assert ray.is_initialized()
    elsewhere = ClusterConfig(address="head:6379")
    with (
        pytest.raises(ConfigError, match="has joined"),
        session.open_session(elsewhere),
    ):
        pass


def test_a_folder_too_long_for_sockets_is_replaced_and_a_short_one_kept(
    monkeypatch, tmp_path
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/short")
    assert session._short_of_sockets() == {}
    monkeypatch.setenv("RAY_TMPDIR", "/" + "deep/" * 20)
    assert session._short_of_sockets() == {"_temp_dir": "/tmp/ray"}
    monkeypatch.setattr(session, "_SHORT", str(tmp_path / "missing"))
    with pytest.raises(ResourceError, match="set RAY_TMPDIR to a folder of at most"):
        session._short_of_sockets()


def test_sigterm_ends_a_session_like_an_interrupt_also_while_ray_starts() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with session._interrupt_on_sigterm() as ready:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        # As Ray does when it has started.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))
        ready()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_sigterm_that_ray_takes_while_it_starts_is_an_interrupt(monkeypatch) -> None:
    def told_to_end(**_: object) -> None:
        sys.exit(signal.SIGTERM)

    monkeypatch.setattr(ray, "init", told_to_end)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with pytest.raises(KeyboardInterrupt), session._connected("local", {}):
        pass


def test_one_interrupt_passes_while_ray_ends_and_the_second_counts() -> None:
    before = signal.getsignal(signal.SIGINT)
    with session._unhurried():
        os.kill(os.getpid(), signal.SIGINT)
    with session._unhurried():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_workers_that_are_not_there_yet_are_waited_for_and_not_for_ever() -> None:
    come, paused = [(), (), (Node(cpus=2, gpus=0),)], list[float]()
    cluster = ClusterConfig(cpus_per_worker=2)
    nodes = session.fitting_nodes(
        cluster, 30.0, look=lambda: come[len(paused)], pause=paused.append
    )
    assert nodes == come[-1]
    assert len(paused) == 2
    with pytest.raises(
        ResourceError, match=r"after 30 s: --cluster.wait-for-workers-s"
    ):
        session.fitting_nodes(cluster, 30.0, look=lambda: (), pause=paused.append)
    assert sum(paused) == 32

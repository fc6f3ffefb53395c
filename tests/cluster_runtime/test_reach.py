import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from senn_ray.cluster_runtime.reach import (
    Address,
    LivenessProbe,
    explain,
    find_head,
    head_patience_s,
)
from senn_ray.core.errors import ClusterLostError, ResourceError


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_nothing_listening_is_one_line_with_what_to_type() -> None:
    port = _free_port()
    with pytest.raises(ResourceError) as caught:
        find_head(f"127.0.0.1:{port}")
    text = str(caught.value)
    assert text.startswith(f"no Ray cluster at 127.0.0.1:{port} (")
    assert "drop cluster.address" in text
    assert "\n" not in text
    assert caught.value.exit_code == 3


def test_something_else_listening_is_told_apart_within_the_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        silent = threading.Thread(target=listener.accept, daemon=True)
        silent.start()
        with pytest.raises(ResourceError, match="does not answer like a Ray head"):
            find_head(f"127.0.0.1:{port}", wait_s=0.5)


class Head(grpc.GenericRpcHandler):
    """Answer whatever is asked, if the right token comes with it."""

    token = ""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        shown = dict(handler_call_details.invocation_metadata).get("authorization", "")

        def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
            if self.token and shown != f"Bearer {self.token}":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "token")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Head, str]]:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    server, handler = grpc.server(ThreadPoolExecutor(1)), Head()
    server.add_generic_rpc_handlers([handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield handler, f"127.0.0.1:{port}"
    server.stop(None)


def test_a_proxy_of_the_environment_does_not_swallow_the_address_of_a_head(
    head: tuple[Head, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    _, address = head
    assert find_head(address, wait_s=5.0)[0] == address


def test_a_head_with_a_token_is_told_at_once_from_one_without(
    head: tuple[Head, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    handler, address = head
    handler.token = "right"
    with pytest.raises(ResourceError, match="wants a token: set RAY_AUTH_MODE=token"):
        find_head(address)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong")
    with pytest.raises(ResourceError, match="takes another token than the one here"):
        find_head(address)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "right")
    assert find_head(address)[0] == address
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("right\n")
    assert find_head(address)[0] == address
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(ResourceError, match="wants a token"):
        find_head(address)


@pytest.mark.parametrize("address", ["http://head:8265", "ray://head:10001"])
def test_addresses_of_other_services_point_to_submit(address) -> None:
    with pytest.raises(ResourceError, match=r"senn-ray submit --address http://HOST"):
        find_head(address)


@pytest.mark.parametrize("address", ["head", "head:", ":6379", "head:ray"])
def test_an_address_without_host_and_port_says_what_is_expected(address) -> None:
    with pytest.raises(ResourceError, match="expected HOST:PORT or auto"):
        find_head(address)


def test_skewed_versions_are_explained_on_one_line() -> None:
    refusal = RuntimeError(
        "Version mismatch: The cluster was started with:\n  Ray: 2.1"
    )
    text = explain("head:6379", refusal)
    assert "same versions of Python and Ray" in text
    assert "Ray: 2.1" in text
    assert "\n" not in text


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _listener(port: int = 0) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def _probe(agent: socket.socket, head: socket.socket, clock: Clock) -> LivenessProbe:
    return _probe_at(agent.getsockname(), head.getsockname(), clock)


def _probe_at(agent: Address, head: Address, clock: Clock) -> LivenessProbe:
    return LivenessProbe(
        "the Ray cluster at head:6379",
        agent=agent,
        head=head,
        patience_s=30.0,
        clock=clock,
    )


def test_an_agent_that_is_gone_is_told_at_once_on_one_line() -> None:
    with _listener() as head:
        with _listener() as agent:
            probe = _probe(agent, head, Clock())
            port = agent.getsockname()[1]
            probe.check()
        with pytest.raises(ClusterLostError) as caught:
            probe.check()
    assert str(caught.value) == (
        "the Ray cluster at head:6379 went away: the agent (raylet) of this machine no "
        f"longer answers at 127.0.0.1:{port}"
    )
    assert caught.value.exit_code == 3
    assert probe.is_lost


def test_a_head_may_be_away_for_as_long_as_ray_can_do_without_it() -> None:
    clock = Clock()
    with _listener() as agent:
        with _listener() as head:
            probe = _probe(agent, head, clock)
            port = head.getsockname()[1]
        clock.now_s = 29.0
        probe.check()
        with _listener(port):
            clock.now_s = 30.0
            probe.check()
        clock.now_s = 59.0
        probe.check()
        assert not probe.is_lost
        clock.now_s = 60.0
        with pytest.raises(
            ClusterLostError, match=rf"head \(GCS\) .* 127.0.0.1:{port}"
        ):
            probe.check()


def test_what_could_not_be_reached_at_first_is_not_missed() -> None:
    clock = Clock()
    with _listener() as agent, _listener() as head:
        places = agent.getsockname(), head.getsockname()
    probe = _probe_at(*places, clock)
    clock.now_s = 1000.0
    probe.check()
    assert not probe.is_lost


def test_we_give_up_before_ray_does(monkeypatch) -> None:
    monkeypatch.delenv("RAY_gcs_rpc_server_reconnect_timeout_s", raising=False)
    assert head_patience_s() == 30.0
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "300")
    assert head_patience_s() == 150.0

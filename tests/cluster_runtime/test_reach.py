import socket
import threading

import pytest

from senn_ray.cluster_runtime.reach import explain, find_head
from senn_ray.core.errors import ResourceError


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

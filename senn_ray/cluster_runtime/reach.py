"""Find the head of a cluster before Ray tries: Ray itself would wait for minutes."""

import os
import socket

from senn_ray.core.errors import ResourceError

WAIT_S = 10.0
_HELP = "Is it running? Try: ray status --address {address}. "
_HELP += "For a local run: drop cluster.address"


def find_head(address: str, *, wait_s: float = WAIT_S) -> tuple[str, bool]:
    """Make sure that a Ray head answers at an address.

    Args:
        address: ``HOST:PORT``, or ``auto`` for the cluster on this machine.
        wait_s: How long to wait for an answer.

    Returns:
        The address, and whether the head can be reached through loopback only.

    Raises:
        ResourceError: if nothing answers, or not as a Ray head.
    """
    if "://" in address:
        raise ResourceError(
            f"cluster.address {address}: this is no HOST:PORT of a Ray head (usually "
            "port 6379). To run on a cluster from outside: senn-ray submit --address "
            "http://HOST:8265 -- VERB"
        )
    target = _started_here() if address == "auto" else address
    host, _, port = target.rpartition(":")
    if not host or not port.isdigit():
        raise ResourceError(f"cluster.address {address}: expected HOST:PORT or auto")
    loopback = _is_loopback(host)
    # Ray replaces loopback addresses by the machine's own, if only it may.
    outer = _own_address() if loopback else host
    if loopback and not _accepts(outer, int(port)):
        _require_answer(target, host, int(port), wait_s)
        return target, True
    _require_answer(target, outer, int(port), wait_s)
    return target, False


def explain(address: str, error: Exception) -> str:
    """Turn Ray's refusal into one line: what happened, and what to type.

    Args:
        address: Where the cluster was to be, or ``local``.
        error: What Ray raised.
    """
    text = " ".join(str(error).split())
    if "Version mismatch" in text:
        return (
            f"{text} The cluster at {address} and this machine must have the same "
            "versions of Python and Ray; see: senn-ray doctor"
        )
    if type(error).__name__ == "AuthenticationError":
        return (
            f"the Ray cluster at {address} wants a token: set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH)"
        )
    if address == "local":
        return f"Ray did not start here: {text} See: senn-ray doctor"
    return f"cannot join Ray at {address}: {text} {_HELP.format(address=address)}"


def _started_here() -> str:
    # RAY_ADDRESS is what `auto` means to Ray, before the cluster found here.
    known = os.environ.get("RAY_ADDRESS", "auto")
    if known != "auto":
        return known
    from ray._private import services  # loading Ray takes a second

    try:
        return services.canonicalize_bootstrap_address("auto") or ""
    except ConnectionError as error:
        raise ResourceError(
            "cluster.address auto: no Ray cluster is running on this machine. Start "
            "one (ray start --head), or drop cluster.address for a private one"
        ) from error


def _require_answer(address: str, host: str, port: int, wait_s: float) -> None:
    try:
        socket.create_connection((host, port), timeout=wait_s).close()
    except OSError as error:
        raise ResourceError(
            f"no Ray cluster at {address} ({error}). {_HELP.format(address=address)}"
        ) from error
    if os.environ.get("RAY_USE_TLS") != "1" and not _speaks_grpc(host, port, wait_s):
        raise ResourceError(
            f"{address} does not answer like a Ray head. cluster.address is the port "
            "that `ray start --head` prints (usually 6379); port 8265 is for: "
            "senn-ray submit --address"
        )


def _speaks_grpc(host: str, port: int, wait_s: float) -> bool:
    import grpc

    with grpc.insecure_channel(f"{host}:{port}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=wait_s)
        except grpc.FutureTimeoutError:
            return False
    return True


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1", "[::1]"} or host.startswith("127.")


def _own_address() -> str:
    import ray.util  # loading Ray takes a second

    return ray.util.get_node_ip_address()

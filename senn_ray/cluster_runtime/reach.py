"""Whether a cluster answers: before Ray joins it, and as long as a job uses it.

Before: Ray itself would wait for minutes for a head that is not there.

After: Ray's core ends a driver, with its own text and exit code 1, about 15 s after the
agent (raylet) of this machine died, or when the head (GCS) was out of reach for a
minute; and no exception tells of it. Their ports tell it sooner: nothing listens there
any more. They must be looked at between calls to Ray. A call that needs the head, such as
making a worker, blocks while the head is away; if it dies just then, Ray ends the process.
"""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from senn_ray.core.errors import ClusterLostError, ResourceError

if TYPE_CHECKING:
    import grpc

WAIT_S = 10.0
LOOK_S = 1.0
"""Seconds between two looks at the head, and the longest wait for its answer."""
PRIVATE_PATIENCE_S = 5.0
"""Seconds: a private cluster's head is never restarted, but it may be slow to answer."""
# Ray's own limit, and its default, after which it ends the process.
_LIMIT = ("RAY_gcs_rpc_server_reconnect_timeout_s", 60.0)
_ALIVE, _TOKEN = "/ray.rpc.NodeInfoGcsService/CheckAlive", "UNAUTHENTICATED"
Address = tuple[str, int]
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
    if loopback and not _listens((outer, int(port))):
        _require_answer(target, host, int(port), wait_s)
        return target, True
    _require_answer(target, outer, int(port), wait_s)
    return target, False


def explain(address: str, error: Exception) -> str:
    """Turn Ray's refusal of an address, or of ``local``, into one line."""
    text = " ".join(str(error).split())
    if "Version mismatch" in text:
        return (
            f"{text} The cluster at {address} and this machine must have the same "
            "versions of Python and Ray; see: senn-ray doctor"
        )
    if type(error).__name__ == "AuthenticationError":
        return _wants_token(address)
    if address == "local":
        return f"Ray did not start here: {text} See: senn-ray doctor"
    return f"cannot join Ray at {address}: {text} {_HELP.format(address=address)}"


def head_patience_s() -> float:
    """Return how long a head may be away: it may be restarted, but Ray does not wait."""
    variable, default = _LIMIT
    return float(os.environ.get(variable) or default) / 2


class LivenessProbe:
    """Tell when the agent of this machine, or the head of the cluster, is gone."""

    def __init__(
        self,
        where: str,
        *,
        agent: Address,
        head: Address,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Note what to look at; what cannot be reached at first is not looked at.

        Args:
            where: The cluster, for people.
            agent: Where the agent of this machine listens.
            head: Where the head of the cluster listens.
            patience_s: Seconds that the head may be away.
            clock: Tells seconds.
        """
        self.is_lost = False
        self._where, self._patience_s, self._clock = where, patience_s, clock
        self._agent = agent if _listens(agent) is True else None
        self._head = head if _listens(head) is True else None
        self._looked_s = self._heard_s = clock()

    def check(self) -> None:
        """Look; it is a ClusterLostError if one of them is gone."""
        # An agent never comes back, so one look is enough; and at a port of this machine
        # it costs nothing.
        if self._agent and _listens(self._agent) is False:
            raise self._loss("the agent (raylet) of this machine", self._agent)
        now = self._clock()
        if self._head is None or now < self._looked_s + LOOK_S:
            return
        self._looked_s = now
        # A head may be restarted by Kubernetes, or only be cut off for a moment, which
        # looks the same from here (``None``): both get the same patience.
        if _listens(self._head):
            self._heard_s = now
        elif now >= self._heard_s + self._patience_s:
            raise self._loss("the head (GCS)", self._head)

    def head_answers(self) -> bool:
        """Tell whether the head may be asked now: such a call blocks while it is away."""
        return self._head is None or _listens(self._head) is True

    def _loss(self, part: str, address: Address) -> ClusterLostError:
        self.is_lost = True
        host, port = address
        return ClusterLostError(
            f"{self._where} went away: {part} no longer answers at {host}:{port}"
        )


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
    if os.environ.get("RAY_USE_TLS") == "1":
        return
    status = _status(host, port, wait_s)
    if status == _TOKEN:
        raise ResourceError(_wants_token(address))
    if status is None:
        raise ResourceError(
            f"{address} does not answer like a Ray head. cluster.address is the port "
            "that `ray start --head` prints (usually 6379); port 8265 is for: "
            "senn-ray submit --address"
        )


def _status(host: str, port: int, wait_s: float) -> str | None:
    """Ask a head whether it is there, without a token if there is none here.

    Returns:
        The name of the status of its answer; nothing, if it does not speak as heads do.
    """
    import grpc

    # A proxy of the environment is for the world outside, not for a cluster.
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"{host}:{port}", options=options) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=wait_s)
            channel.unary_unary(_ALIVE)(
                b"", timeout=wait_s, metadata=tuple(_credentials())
            )
        except grpc.FutureTimeoutError:
            return None
        except grpc.RpcError as error:
            return cast("grpc.Call", error).code().name
    return "OK"


def _credentials() -> list[tuple[str, str]]:
    """Return what shows a token to a head, if this process is to have one."""
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "disabled":
        return []
    path = os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token"
    token = os.environ.get("RAY_AUTH_TOKEN")
    if not token:
        try:
            token = Path(path).expanduser().read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return []
    return [("authorization", f"Bearer {token}")]


def _wants_token(address: str) -> str:
    had = "takes another token than the one here" if _credentials() else "wants a token"
    return (
        f"the Ray cluster at {address} {had}: set RAY_AUTH_MODE=token and "
        "RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH)"
    )


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1", "[::1]"} or host.startswith("127.")


def _own_address() -> str:
    import ray.util  # loading Ray takes a second

    return ray.util.get_node_ip_address()


def _listens(address: Address) -> bool | None:
    """Tell whether a port is open; nothing, if a network does not let it be told."""
    try:
        socket.create_connection(address, timeout=LOOK_S).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return None
    return True

"""A Ray session: join the cluster that is given, or start a private one here.

A private cluster listens on the loopback device only, wants a token that nobody else knows,
has no dashboard and writes nothing to the console; it ends with the session. A joined
cluster is left as it was, and so is a Ray that the caller had joined before.
"""

import contextlib
import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from senn_ray.cluster_runtime import reach
from senn_ray.cluster_runtime.reach import (
    LOOK_S,
    PRIVATE_PATIENCE_S,
    LivenessProbe,
    head_patience_s,
)
from senn_ray.cluster_runtime.resources import Node, describe, runs_that_fit
from senn_ray.config import ClusterConfig
from senn_ray.core.errors import ConfigError, ResourceError

# Read by Ray when it is first imported. What the user has set wins.
_ENVIRONMENT = {
    # Workers run in the environment of the driver, also under `uv run`.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # The behaviour that Ray is moving to; it warns as long as this is unset.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
# The only switch that makes all of Ray listen on the loopback device.
_AUTH = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
# Names of sockets may have 107 bytes; this is what Ray puts behind its folder.
_SOCKET = "/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
_SOCKET_BYTES = 107
_SHORT = "/tmp"
_LOOPBACK = ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "ENABLE_RAY_CLUSTER")


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A live connection to a cluster."""

    where: str
    """Where runs execute, for people: ``local Ray, 2 CPUs``."""
    nodes: tuple[Node, ...]
    probe: LivenessProbe
    """Tells when the cluster is gone."""


@contextlib.contextmanager
def open_session(
    cluster: ClusterConfig,
    *,
    cpus: int | None = None,
    object_store_mb: int | None = None,
) -> Iterator[Session]:
    """Hold a connection to Ray for the length of a ``with`` block.

    A Ray that this process has joined already (``ray.init`` was called, or this is a task)
    is used as it is. Else the address is ``cluster.address``, or ``RAY_ADDRESS`` as inside a
    submitted job; without one, or with ``local``, a private cluster is started. It is a
    ResourceError, within seconds, if the cluster cannot be reached or a run would
    never fit.

    Args:
        cluster: Where runs are placed, and what they ask for.
        cpus: Cores that a private cluster offers (default: all there are).
        object_store_mb: Shared memory of a private cluster (default: Ray's choice).

    Yields:
        What was reached.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    address = cluster.address or os.environ.get("RAY_ADDRESS") or "local"
    joined = _joined_already(cluster)
    if address == "local" and not joined:
        _refuse_early(cluster, cpus or local_cpus() or os.cpu_count() or 1)
    limits: dict[str, int | None] = {"num_cpus": cpus or local_cpus()}
    if object_store_mb:
        limits["object_store_memory"] = object_store_mb * 2**20
    with (
        _interrupt_on_sigterm() as ready,
        contextlib.nullcontext() if joined else _connected(address, limits),
    ):
        ready()
        is_private = address == "local" and not joined
        nodes = fitting_nodes(
            cluster, 0.0 if is_private else cluster.wait_for_workers_s
        )
        place = "local Ray" if address == "local" else f"Ray at {address}"
        where = f"{joined or place}, {describe(nodes)}"
        yield Session(where=where, nodes=nodes, probe=_probe(address, joined))


def _joined_already(cluster: ClusterConfig) -> str:
    """Name the Ray that this process had joined before; empty, if there is none.

    Raises:
        ConfigError: if another one is asked for: a process has one Ray.
    """
    ray: Any = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return ""
    here = ray.get_runtime_context().gcs_address
    if cluster.address not in {None, "auto", "local", here}:
        raise ConfigError(
            f"cluster.address {cluster.address}: this process has joined the Ray at {here} "
            "already; leave cluster.address out, or call ray.shutdown() first"
        )
    return f"the Ray that was joined before, at {here}"


def _refuse_early(cluster: ClusterConfig, cpus: int) -> None:
    """Do not start Ray, which takes seconds, to find that the cores are too few."""
    asked = cluster.model_copy(update={"gpus_per_worker": 0.0})
    runs_that_fit(asked, [Node(cpus=cpus, gpus=0)])


def fitting_nodes(
    cluster: ClusterConfig,
    wait_s: float,
    *,
    look: Callable[[], tuple[Node, ...]] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Node, ...]:
    """Wait until a run fits on a cluster, whose workers may still be on their way.

    Args:
        cluster: What runs ask for.
        wait_s: How long; then it is a ResourceError.
        look: Lists the nodes (default: those of the present cluster).
        pause: Waits so many seconds.
    """
    waited_s = 0.0
    while True:
        nodes = (look or live_nodes)()
        try:
            runs_that_fit(cluster, nodes)
        except ResourceError as error:
            if waited_s >= wait_s:
                waited = f" (after {wait_s:g} s: --cluster.wait-for-workers-s)"
                raise ResourceError(f"{error}{waited if wait_s else ''}") from error
        else:
            return nodes
        pause(LOOK_S)
        waited_s += LOOK_S


def live_nodes() -> tuple[Node, ...]:
    """List the machines of the cluster that this process is connected to."""
    import ray  # after the environment is set

    held = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return tuple(Node(cpus=r.get("CPU", 0), gpus=r.get("GPU", 0)) for r in held)


def _probe(address: str, joined: str = "") -> LivenessProbe:
    """Find out where the agent of this machine and the head listen."""
    import ray  # after the environment is set

    is_private = address == "local" and not joined
    context = ray.get_runtime_context()
    mine = context.get_node_id()
    (node,) = (node for node in ray.nodes() if node["NodeID"] == mine)
    host, _, port = context.gcs_address.rpartition(":")
    return LivenessProbe(
        "the private Ray of this job"
        if is_private
        else joined or f"the Ray cluster at {address}",
        agent=(node["NodeManagerAddress"], node["NodeManagerPort"]),
        head=(host, int(port)),
        patience_s=PRIVATE_PATIENCE_S if is_private else head_patience_s(),
    )


@contextlib.contextmanager
def _connected(address: str, limits: dict[str, int | None]) -> Iterator[None]:
    quiet: dict[str, Any] = {
        "logging_level": logging.ERROR,
        "log_to_driver": False,
    }
    is_private = loopback = address == "local"
    if is_private:
        quiet |= {"include_dashboard": False, **limits, **_short_of_sockets()}
    else:
        address, loopback = reach.find_head(address)
    import ray  # after the environment is set

    with contextlib.ExitStack() as stack:
        if is_private:
            stack.enter_context(_guarded_by_token())
        with _bound_to_loopback() if loopback else contextlib.nullcontext():
            try:
                ray.init(address=address, **quiet)
            except SystemExit as e:  # That is what Ray makes of SIGTERM meanwhile.
                raise KeyboardInterrupt from e
            except Exception as e:  # Ray raises bare ones, as when a slow node is late.
                raise ResourceError(reach.explain(address, e)) from e
        if is_private:
            stack.enter_context(_silent())
        try:
            yield
        finally:
            with _unhurried():
                ray.shutdown()


def _short_of_sockets() -> dict[str, str]:
    """Give Ray another folder if the names of its sockets would be too long.

    Raises:
        ResourceError: if there is none.
    """
    root = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    if len(os.fsencode(root + _SOCKET)) <= _SOCKET_BYTES:
        return {}
    if not os.access(_SHORT, os.W_OK | os.X_OK):
        longest = _SOCKET_BYTES - len(_SOCKET)
        raise ResourceError(
            f"{root} is too long for the sockets of Ray, and {_SHORT} cannot be written: "
            f"set RAY_TMPDIR to a folder of at most {longest} letters"
        )
    return {"_temp_dir": f"{_SHORT}/ray"}


@contextlib.contextmanager
def _guarded_by_token() -> Iterator[None]:
    """Let nobody but this process and its workers into the Ray that is started now.

    Its ports are open to every user of this machine, and whoever reaches one of them runs
    code as this user. The token is in environments, which other users cannot read.
    """
    before = {name: os.environ.pop(name) for name in _AUTH if name in os.environ}
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    _read_token()
    try:
        yield
    finally:
        for name in _AUTH:
            os.environ.pop(name, None)
        os.environ |= before
        _read_token()


def _read_token() -> None:
    """Let Ray, which keeps what it has read, look at the environment again."""
    from ray import _raylet

    raylet: Any = _raylet
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def _unhurried() -> Iterator[None]:
    """Let a Ctrl-C pass while Ray ends, which it does anyway; a second one counts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def once(*_: object) -> None:
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep the agents of a private cluster from printing their logs to this console.

    They do it when one of them dies, whatever ``log_to_driver`` is.
    """
    worker: Any = sys.modules["ray._private.worker"]
    switch = "_worker_logs_enabled"
    before = getattr(worker, switch, None)
    if before is not None:
        setattr(worker, switch, False)
    try:
        yield
    finally:
        if before is not None:
            setattr(worker, switch, before)


def local_cpus() -> int | None:
    """Count the cores this process may use; None leaves it to Ray's own detection.

    Ray knows the limits of containers but not those of ``taskset``.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = len(os.sched_getaffinity(0))
    return allowed if allowed < (os.cpu_count() or 1) else None


@contextlib.contextmanager
def _bound_to_loopback() -> Iterator[None]:
    variable, constant = _LOOPBACK
    before = os.environ.get(variable)
    os.environ[variable] = "0"
    # If Ray is loaded already, it has read the variable and kept its value here.
    loaded: Any = sys.modules.get("ray._private.ray_constants")
    kept = getattr(loaded, constant, None)
    if kept is not None:
        setattr(loaded, constant, False)
    try:
        yield
    finally:
        if kept is not None:
            setattr(loaded, constant, kept)
        os.environ.pop(variable)
        if before is not None:
            os.environ[variable] = before


@contextlib.contextmanager
def _interrupt_on_sigterm() -> Iterator[Callable[[], None]]:
    """Treat SIGTERM like Ctrl-C, so that stopping a job ends it in good order.

    Yields:
        What must be called when Ray is there, which takes the signal over.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def take() -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)

    before = signal.getsignal(signal.SIGTERM)
    take()
    try:
        yield take
    finally:
        signal.signal(signal.SIGTERM, before)

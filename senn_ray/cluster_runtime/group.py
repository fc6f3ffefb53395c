"""Process groups of a gang: bare ones, new for every membership of every run.

No global default group is used, so a process can be in any number of groups, one after
the other, and no rank is special. Everything listens on the node's own address only:
torch's defaults are the loopback device, which other nodes cannot reach, for gloo, and
all interfaces for the store.

Two kinds: gloo for what lies on the host, NCCL (with a gloo group beside it) for what
lies on GPUs. A message of either kind fails with a ``PeerLostError`` if a replica is
gone, or silent too long; then those that are left meet again in a new group.
"""

import datetime
import socket
import time
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch._C import _distributed_c10d as c10d

from senn_ray.cluster_runtime.messages import Seat, StoreAddress
from senn_ray.training.reducer import PeerLostError

# Below the minute that Ray needs to notice that a node is frozen.
GROUP_TIMEOUT_S = 50.0
_LOOK_S = 2e-5
"""Seconds between two looks whether NCCL is through: a message takes about as long."""


class Group(Protocol):
    """A process group of either kind, or the ``SingleReducer`` of a gang of one."""

    @property
    def rank(self) -> int:
        """The place of this replica."""
        ...

    @property
    def size(self) -> int:
        """The number of replicas."""
        ...

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return the sum of the buffer over the gang; the buffer may be overwritten."""
        ...

    def broadcast(self, buffer: torch.Tensor, root: int) -> torch.Tensor:
        """Return the buffer of the replica of rank ``root`` on all of them."""
        ...


class GlooGroup:
    """Messages among processes by gloo; buffers on a GPU travel through host memory.

    Sums are bitwise equal on all replicas and in all repetitions, because gloo adds in
    an order that is fixed by the ranks.
    """

    def __init__(self, group: Any) -> None:
        self.rank = group.rank()
        self.size = group.size()
        self._group = group

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return the sum of the buffer over the gang; the buffer may be overwritten."""
        return self._send(buffer, lambda host: self._group.allreduce([host]))

    def broadcast(self, buffer: torch.Tensor, root: int) -> torch.Tensor:
        """Return the buffer of the replica of rank ``root`` on all of them."""
        return self._send(buffer, lambda host: self._group.broadcast(host, root))

    def _send(
        self, buffer: torch.Tensor, send: Callable[[torch.Tensor], Any]
    ) -> torch.Tensor:
        host = buffer.detach().cpu().contiguous()
        try:
            send(host).wait()
        except RuntimeError as error:
            # Gloo adds the place in its source before, and advice after.
            said = str(error).rpartition("] ")[2] if "] " in str(error) else str(error)
            raise PeerLostError(
                f"rank {self.rank} of {self.size} lost a replica: {said.split('. ')[0]}"
            ) from error
        return host.to(buffer.device)


class NcclGroup:
    """Messages by NCCL among GPUs, and by gloo for what lies on the host.

    NCCL does not tell when a peer is gone: kernels then wait for ever. So the host does
    not wait in NCCL itself: it looks whether a message is through, and gives the group up
    when the driver tells that a replica is lost, or when a message takes too long.
    """

    def __init__(
        self,
        control: GlooGroup,
        nccl: Any,
        is_lost: Callable[[], bool],
        silence_s: float,
    ) -> None:
        """Take two groups of the same replicas.

        Args:
            control: Carries what lies on the host.
            nccl: Carries what lies on GPUs.
            is_lost: Tells whether the driver has lost a replica of this membership.
            silence_s: Seconds that a message may take.
        """
        self.rank, self.size = control.rank, control.size
        self._control, self._nccl = control, nccl
        self._is_lost, self._silence_s = is_lost, silence_s

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return the sum of the buffer over the gang; the buffer may be overwritten."""
        if not buffer.is_cuda:
            return self._control.sum(buffer)
        own = buffer.detach().contiguous()
        self._finish(self._nccl.allreduce([own]))
        return own

    def broadcast(self, buffer: torch.Tensor, root: int) -> torch.Tensor:
        """Return the buffer of the replica of rank ``root`` on all of them."""
        if not buffer.is_cuda:
            return self._control.broadcast(buffer, root)
        own = buffer.detach().contiguous()
        self._finish(self._nccl.broadcast(own, root))
        return own

    def _finish(self, work: Any) -> None:
        """Wait for a message, as long as there is hope."""
        deadline = time.monotonic() + self._silence_s
        while not work.is_completed():
            if self._is_lost() or time.monotonic() > deadline:
                # Kernels that wait are ended, or the GPU would never be free again.
                self._nccl.abort()
                raise PeerLostError(f"rank {self.rank} of {self.size} lost a replica")
            time.sleep(_LOOK_S)
        work.wait()  # Only makes the current stream see the result.


def host_store(host: str) -> tuple[c10d.TCPStore, StoreAddress]:
    """Open the meeting point of a gang on a free port of one address.

    Returns:
        The store, open as long as it is referenced, and where it is.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)
    port = listener.getsockname()[1]
    store = c10d.TCPStore(
        host,
        port,
        is_master=True,
        wait_for_workers=False,
        timeout=_span(GROUP_TIMEOUT_S),
        master_listen_fd=listener.detach(),
    )
    return store, StoreAddress(host=host, port=port)


def join(seat: Seat, *, host: str, timeout_s: float = GROUP_TIMEOUT_S) -> GlooGroup:
    """Meet the other replicas of a membership.

    Args:
        seat: The place of this replica, in a gang of several.
        host: An address of this machine that the other replicas can reach.
        timeout_s: How long to wait for a silent peer, now and in every message.

    Returns:
        The group; dropping it leaves the gang.

    Raises:
        PeerLostError: if the others do not come.
    """
    # torch has no public way to say which address gloo listens on.
    gloo: Any = c10d.ProcessGroupGloo
    try:
        options = gloo._Options()  # noqa: SLF001
        options._devices = [gloo.create_device(hostname=host)]  # noqa: SLF001
        options._timeout = _span(timeout_s)  # noqa: SLF001
        group = gloo(_meeting(seat, "gloo", timeout_s), seat.rank, seat.size, options)
    except (RuntimeError, torch.distributed.DistError) as error:
        where = seat.store and f"{seat.store.host}:{seat.store.port}"
        raise PeerLostError(
            f"rank {seat.rank} of {seat.size} did not meet its peers at {where}: "
            f"{error}"
        ) from error
    return GlooGroup(group)


def join_nccl(
    seat: Seat, is_lost: Callable[[], bool], *, host: str, silence_s: float
) -> NcclGroup:
    """Meet the other replicas of a membership, each with a GPU of its own.

    Args:
        seat: The place of this replica, in a gang of several.
        is_lost: Tells whether the driver has lost a replica of this membership.
        host: An address of this machine that the other replicas can reach.
        silence_s: How long to wait for a silent peer.

    Returns:
        The groups. It is a ``PeerLostError`` if the others do not come.
    """
    control = join(seat, host=host, timeout_s=silence_s)
    store = _meeting(seat, "nccl", silence_s)
    # Builds of torch without CUDA lack it, and never come here.
    make = c10d.ProcessGroupNCCL
    options = make.Options()
    # NCCL's own watchdog would end the process: _finish gives a message up before it.
    options._timeout = _span(2 * silence_s)  # noqa: SLF001
    nccl = make(store, seat.rank, seat.size, options)
    return NcclGroup(control, nccl, is_lost, silence_s)


def _meeting(seat: Seat, name: str, timeout_s: float) -> c10d.PrefixStore:
    """Open the store under a name that no other group of any run has."""
    store = seat.store
    if store is None:
        raise ValueError(f"a gang of {seat.size} needs a store to meet at")
    client = c10d.TCPStore(
        store.host, store.port, is_master=False, timeout=_span(timeout_s)
    )
    return c10d.PrefixStore(f"{seat.run}/{seat.epoch}/{name}", client)


def _span(seconds: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=seconds)

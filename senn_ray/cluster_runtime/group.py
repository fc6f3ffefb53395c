"""The process group of a gang: bare groups, one for every membership of every run.

No global default group is used, so a process can be in any number of groups, one after
the other, and no rank is special. Everything listens on the node's own address only:
torch's defaults are the loopback device, which other nodes cannot reach, for gloo, and
all interfaces for the store.
"""

import datetime
import socket
from collections.abc import Callable
from typing import Any

import torch
from torch._C import _distributed_c10d as c10d

from senn_ray.cluster_runtime.messages import Seat, StoreAddress
from senn_ray.training.reducer import PeerLostError

# Below the minute that Ray needs to notice that a node is frozen.
GROUP_TIMEOUT_S = 50.0


class GlooGroup:
    """Messages among processes by gloo.

    Sums are bitwise equal on all replicas and in all repetitions, because gloo adds in
    an order that is fixed by the ranks. Buffers on a GPU travel through host memory.
    A message fails with a ``PeerLostError`` if a replica is gone, or silent too long.
    """

    def __init__(self, group: Any) -> None:
        self.rank = group.rank()
        self.size = group.size()
        self._group = group

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return the sum of the buffer over the gang; the buffer is overwritten.

        Args:
            buffer: A tensor of the same shape and dtype on every replica.
        """
        return self._send(buffer, lambda host: self._group.allreduce([host]))

    def broadcast(self, buffer: torch.Tensor, root: int) -> torch.Tensor:
        """Return the buffer of one replica on all of them; the others are overwritten.

        Args:
            buffer: A tensor of the same shape and dtype on every replica.
            root: The rank whose values count.
        """
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


def host_store(host: str) -> tuple[c10d.TCPStore, StoreAddress]:
    """Open the meeting point of a gang on a free port of one address.

    Args:
        host: An address of this machine that all replicas can reach.

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
        timeout=span(GROUP_TIMEOUT_S),
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
    try:
        options = _options(host, span(timeout_s))
        group = c10d.ProcessGroupGloo(
            meeting(seat, "gloo", timeout_s), seat.rank, seat.size, options
        )
    except (RuntimeError, torch.distributed.DistError) as error:
        where = seat.store and f"{seat.store.host}:{seat.store.port}"
        raise PeerLostError(
            f"rank {seat.rank} of {seat.size} did not meet its peers at {where}: "
            f"{error}"
        ) from error
    return GlooGroup(group)


def meeting(seat: Seat, name: str, timeout_s: float) -> c10d.PrefixStore:
    """Open the store under a name that no other group of any run has.

    Args:
        seat: The place of this replica.
        name: What the group is for.
        timeout_s: How long to wait for a value.
    """
    store = seat.store
    if store is None:
        raise ValueError(f"a gang of {seat.size} needs a store to meet at")
    client = c10d.TCPStore(
        store.host, store.port, is_master=False, timeout=span(timeout_s)
    )
    return c10d.PrefixStore(f"{seat.run}/{seat.epoch}/{name}", client)


def _options(host: str, timeout: datetime.timedelta) -> Any:
    # torch has no public way to say which address gloo listens on.
    gloo: Any = c10d.ProcessGroupGloo
    options = gloo._Options()  # noqa: SLF001
    options._devices = [gloo.create_device(hostname=host)]  # noqa: SLF001
    options._timeout = timeout  # noqa: SLF001
    return options


def span(seconds: float) -> datetime.timedelta:
    """Turn seconds into what torch wants."""
    return datetime.timedelta(seconds=seconds)

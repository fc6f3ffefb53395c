"""The process group of a gang: bare gloo groups, one for every run.

No global default group is used, so a process can be in any number of groups, one after
the other, and no rank is special. Everything listens on the node's own address only:
torch's defaults are the loopback device, which other nodes cannot reach, for gloo, and
all interfaces for the store.
"""

import datetime
import socket
from dataclasses import dataclass
from typing import Any

import torch
from torch._C import _distributed_c10d as c10d

# Below the minute that Ray needs to notice that a node is frozen.
GROUP_TIMEOUT_S = 50.0


class PeerLostError(RuntimeError):
    """Report that a sum failed because another replica is gone or silent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreAddress:
    """Where the replicas of a gang find each other."""

    host: str
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """The place of a replica in the gang of one run."""

    rendezvous: str
    """Unique among all runs that ever use the store."""
    rank: int
    size: int


class GlooReducer:
    """Sum over a gang of processes by gloo.

    The sums are bitwise equal on all replicas and in all repetitions, because gloo
    adds in an order that is fixed by the ranks. Buffers on a GPU travel through host
    memory.
    """

    def __init__(self, group: Any) -> None:
        self.rank = group.rank()
        self.size = group.size()
        self._group = group

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return the sum of the buffer over the gang; the buffer is overwritten.

        Args:
            buffer: A tensor of the same shape and dtype on every replica.

        Raises:
            PeerLostError: if a replica is gone, or silent for too long.
        """
        host = buffer.detach().cpu().contiguous()
        try:
            self._group.allreduce([host]).wait()
        except RuntimeError as error:
            raise PeerLostError(
                f"rank {self.rank} of {self.size} lost a replica: {error}"
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
        timeout=_timeout(GROUP_TIMEOUT_S),
        master_listen_fd=listener.detach(),
    )
    return store, StoreAddress(host=host, port=port)


def join(
    store: StoreAddress, seat: Seat, *, host: str, timeout_s: float = GROUP_TIMEOUT_S
) -> GlooReducer:
    """Meet the other replicas of a run.

    Args:
        store: The meeting point of the gang.
        seat: The place of this replica.
        host: An address of this machine that the other replicas can reach.
        timeout_s: How long to wait for a silent peer, now and in every sum.

    Returns:
        The reducer of the run; dropping it leaves the group.

    Raises:
        PeerLostError: if the others do not come.
    """
    timeout = _timeout(timeout_s)
    try:
        client = c10d.TCPStore(store.host, store.port, is_master=False, timeout=timeout)
        meeting = c10d.PrefixStore(seat.rendezvous, client)
        options = _options(host, timeout)
        group = c10d.ProcessGroupGloo(meeting, seat.rank, seat.size, options)
    except (RuntimeError, torch.distributed.DistError) as error:
        raise PeerLostError(
            f"rank {seat.rank} of {seat.size} did not meet its peers at "
            f"{store.host}:{store.port}: {error}"
        ) from error
    return GlooReducer(group)


def _options(host: str, timeout: datetime.timedelta) -> Any:
    # torch has no public way to say which address gloo listens on.
    gloo: Any = c10d.ProcessGroupGloo
    options = gloo._Options()  # noqa: SLF001
    options._devices = [gloo.create_device(hostname=host)]  # noqa: SLF001
    options._timeout = timeout  # noqa: SLF001
    return options


def _timeout(seconds: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=seconds)

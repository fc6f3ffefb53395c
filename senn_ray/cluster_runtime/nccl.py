"""Messages among GPUs by NCCL, with a gloo group beside it for everything on the host.

NCCL does not tell when a peer is gone: kernels then wait for ever. So nobody waits in
NCCL itself: the host looks whether a message is through, and gives the group up when
the driver tells that a replica is lost, or when a message takes too long.
"""

import threading
import time
from typing import Any

import torch
from torch._C import _distributed_c10d as c10d

from senn_ray.cluster_runtime import group
from senn_ray.cluster_runtime.group import GlooGroup
from senn_ray.cluster_runtime.messages import Seat
from senn_ray.training.reducer import PeerLostError

_LOOK_S = 2e-5


class NcclGroup:
    """Sum buffers on GPUs by NCCL, and those on the host by gloo."""

    def __init__(
        self, control: GlooGroup, nccl: Any, lost: threading.Event, silence_s: float
    ) -> None:
        """Take two groups of the same replicas.

        Args:
            control: Carries what lies on the host.
            nccl: Carries what lies on GPUs.
            lost: Set when the driver has lost a replica of this membership.
            silence_s: How long a message may take.
        """
        self.rank, self.size = control.rank, control.size
        self._control, self._nccl = control, nccl
        self._lost, self._silence_s = lost, silence_s

    def sum(self, buffer: torch.Tensor) -> torch.Tensor:
        """Return the sum of the buffer over the gang; the buffer is overwritten."""
        if not buffer.is_cuda:
            return self._control.sum(buffer)
        own = buffer.detach().contiguous()
        self._finish(self._nccl.allreduce([own]))
        return own

    def broadcast(self, buffer: torch.Tensor, root: int) -> torch.Tensor:
        """Return the buffer of one replica on all of them; the others are overwritten.

        Args:
            buffer: A tensor of the same shape and dtype on every replica.
            root: The rank whose values count.
        """
        if not buffer.is_cuda:
            return self._control.broadcast(buffer, root)
        own = buffer.detach().contiguous()
        self._finish(self._nccl.broadcast(own, root))
        return own

    def _finish(self, work: Any) -> None:
        """Wait for a message, as long as there is hope."""
        deadline = time.monotonic() + self._silence_s
        while not work.is_completed():
            if self._lost.is_set() or time.monotonic() > deadline:
                self._nccl.abort()
                raise PeerLostError(f"rank {self.rank} of {self.size} lost a replica")
            time.sleep(_LOOK_S)
        work.wait()  # Only makes the current stream see the result.


def join(
    seat: Seat, lost: threading.Event, *, host: str, silence_s: float
) -> NcclGroup:
    """Meet the other replicas of a membership, each with a GPU of its own.

    Args:
        seat: The place of this replica, in a gang of several.
        lost: Set when the driver has lost a replica of this membership.
        host: An address of this machine that the other replicas can reach.
        silence_s: How long to wait for a silent peer.

    Returns:
        The groups. It is a ``PeerLostError`` if the others do not come.
    """
    control = group.join(seat, host=host, timeout_s=silence_s)
    store = group.meeting(seat, "nccl", silence_s)
    # Absent from builds of torch without CUDA, and then never asked for.
    make = c10d.ProcessGroupNCCL
    options = make.Options()
    # A message is given up by _finish before NCCL's own watchdog ends the process.
    options._timeout = group.span(2 * silence_s)  # noqa: SLF001
    nccl = make(store, seat.rank, seat.size, options)
    return NcclGroup(control, nccl, lost, silence_s)

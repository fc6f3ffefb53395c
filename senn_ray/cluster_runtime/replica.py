"""The worker actor: a process that stays, and carries out one run after another.

It loads torch once. Its one method is a generator: signs of life while the run is
under way, the record at the end. So they arrive in order, and the death of the process
is the end of the stream.
"""

import dataclasses
import os
import queue
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import ray.util

from senn_ray.records import Progress, RunRecord, RunSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from senn_ray.cluster_runtime.group import Seat, StoreAddress
    from senn_ray.training.data import RawData
    from senn_ray.training.reducer import Reducer

Message = Progress | RunRecord


class Train(Protocol):
    """What carries out a run: ``senn_ray.tasks.train_run``, or a double in tests."""

    def __call__(
        self,
        spec: RunSpec,
        raw: "RawData",
        *,
        reducer: "Reducer | None",
        on_progress: "Callable[[Progress], None] | None",
    ) -> RunRecord:
        """Train a network, alone if there is no reducer, and tell the outcome."""
        ...


class Replica:
    """Carry out runs, alone or as one of a gang."""

    def __init__(self, train: Train, *, gpus: float) -> None:
        self._train = train
        self._store: object | None = None
        if not gpus:
            # Ray leaves GPUs visible to those who have asked for none.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""

    def host_store(self) -> "StoreAddress":
        """Open the meeting point of the gang; it lives as long as this process."""
        from senn_ray.cluster_runtime import group

        self._store, address = group.host_store(ray.util.get_node_ip_address())
        return address

    def run(
        self,
        spec: RunSpec,
        raw: "RawData",
        *,
        store: "StoreAddress | None" = None,
        seat: "Seat | None" = None,
    ) -> Iterator[Message]:
        """Carry out a run.

        Args:
            spec: The run; the same on all replicas of a gang.
            raw: The data set, shared with other processes of the node.
            store: The meeting point of the gang, if there is one.
            seat: The place in the gang.

        Yields:
            Signs of life (of rank 0 only), then the record.
        """
        messages: queue.SimpleQueue[Message | BaseException] = queue.SimpleQueue()

        def work() -> None:
            try:
                messages.put(self._carry_out(spec, raw, store, seat, messages.put))
            except BaseException as error:  # noqa: BLE001 - raised by the generator
                messages.put(error)

        threading.Thread(target=work, daemon=True).start()
        while isinstance(message := messages.get(), Progress):
            yield message
        if isinstance(message, BaseException):
            raise message
        yield message

    def _carry_out(
        self,
        spec: RunSpec,
        raw: "RawData",
        store: "StoreAddress | None",
        seat: "Seat | None",
        report: "Callable[[Progress], None]",
    ) -> RunRecord:
        if store is None or seat is None:
            return self._train(spec, raw, reducer=None, on_progress=report)
        from senn_ray.cluster_runtime import group

        reducer = group.join(store, seat, host=ray.util.get_node_ip_address())
        on_progress = report if seat.rank == 0 else None
        return self._train(spec, raw, reducer=reducer, on_progress=on_progress)


@dataclasses.dataclass(frozen=True)
class TrainRun:
    """Call ``senn_ray.tasks.train_run`` on the cores or the GPU of a worker.

    Torch is loaded by the first call, so that a driver need not load it.
    """

    threads: int
    device: str

    def __call__(
        self,
        spec: RunSpec,
        raw: "RawData",
        *,
        reducer: "Reducer | None",
        on_progress: "Callable[[Progress], None] | None",
    ) -> RunRecord:
        """Train a network and tell the outcome."""
        import torch

        from senn_ray import tasks

        # OpenMP keeps this number per thread, so it is set in the one that trains.
        torch.set_num_threads(self.threads)
        return tasks.train_run(
            spec, raw, reducer=reducer, on_progress=on_progress, device=self.device
        )

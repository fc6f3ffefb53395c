"""The worker actor: a process that stays, and carries out one run after another.

It loads torch once. Its main method is a generator: signs of life while the run is
under way, the record at the end. So they arrive in order, and the death of the process
is the end of the stream.
"""

import dataclasses
import os
import platform
import queue
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import ray.util

from senn_ray.cluster_runtime.messages import Ready, Seat
from senn_ray.config import ClusterConfig
from senn_ray.core import versions
from senn_ray.core.records import Progress, RunRecord, RunSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from senn_ray.cluster_runtime.membership import Membership
    from senn_ray.data.examples import RawData
    from senn_ray.training.reducer import Reducer

Message = Ready | Progress | RunRecord


class Train(Protocol):
    """What carries out a run: ``senn_ray.runs.run.train_run``, or a double in tests."""

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


class Worker:
    """The actor: carry out runs, alone or as one replica of a gang.

    ``offer`` and ``alarm`` are called while ``run`` is under way, so the actor needs
    several threads. These take up calls in any order: so every call names its run, and
    runs are numbered.
    """

    def __init__(self, train: Train, cluster: ClusterConfig) -> None:
        self._train = train
        self._cluster = cluster
        self._membership: Membership | None = None
        self._newest = -1
        self._begins = threading.Lock()
        if not cluster.gpus_per_worker:
            # Ray leaves GPUs visible to actors that have asked for none.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""

    def run(
        self,
        spec: RunSpec,
        raw: "RawData",
        *,
        number: int,
        gang: str | None = None,
    ) -> Iterator[Message]:
        """Carry out a run; one that was begun before, and left over, is let go.

        Args:
            spec: The run, the same on all replicas of a gang.
            raw: The data set, shared with other processes of the node.
            number: Runs of this process are counted up.
            gang: The name under which this replica is offered seats; nothing if it
                works alone.

        Yields:
            Whenever it waits for a seat, that it does (alone: once, that it has begun);
            signs of life (of rank 0 only);
            then the record, unless the run needs it no more.
        """
        messages: queue.SimpleQueue[Message | BaseException | None]
        messages = queue.SimpleQueue()
        with self._begins:
            if number < self._newest:
                return
            if self._membership is not None:
                self._membership.dismiss()
            self._newest = number
            self._membership = self._member(gang, messages.put) if gang else None
            membership = self._membership

        def work() -> None:
            try:
                messages.put(self._carry_out(spec, raw, membership, messages.put))
            except BaseException as error:  # noqa: BLE001 - raised by the generator
                messages.put(error)

        # Training has a thread of its own, so that signs of life leave the process while
        # it goes on, and a run that is let go does not block the one that follows.
        threading.Thread(target=work, daemon=True).start()
        if membership is None:
            yield Ready(epoch=0)
        while isinstance(message := messages.get(), Progress | Ready):
            yield message
        if isinstance(message, BaseException):
            raise message
        if message is not None:
            yield message

    def offer(self, seat: Seat) -> None:
        """Hand over a seat in the membership of a gang."""
        if self._membership is not None:
            self._membership.offer(seat)

    def dismiss(self, gang: str) -> None:
        """Tell that a run needs this replica no more."""
        if self._membership is not None and self._membership.run == gang:
            self._membership.dismiss()

    def answer(self) -> bool:
        """Show that the process is alive."""
        return True

    def alarm(self, gang: str, epoch: int) -> None:
        """Tell that another replica of a membership was lost."""
        if self._membership is not None:
            self._membership.alarm(gang, epoch)

    def _member(self, gang: str, tell: "Callable[[Ready], None]") -> "Membership":
        """Make the reducer of a run; torch is loaded by now at the latest."""
        from senn_ray.cluster_runtime.membership import Membership

        return Membership(
            gang,
            tell,
            host=ray.util.get_node_ip_address(),
            silence_s=self._cluster.silence_s,
            # Replicas that share a GPU cannot use NCCL among them.
            on_gpu=self._cluster.gpus_per_worker >= 1,
        )

    def _carry_out(
        self,
        spec: RunSpec,
        raw: "RawData",
        member: "Membership | None",
        report: "Callable[[Progress], None]",
    ) -> RunRecord | None:
        """Train, and return the record; nothing, if the run goes on without this one."""
        if member is None:
            return self._train(spec, raw, reducer=None, on_progress=report)
        from senn_ray.cluster_runtime.membership import DismissedError

        def of_rank_0(progress: Progress) -> None:
            if member.rank == 0:
                report(progress)

        try:
            return self._train(spec, raw, reducer=member, on_progress=of_rank_0)
        except DismissedError:
            return None
        finally:
            member.leave()  # Peers that still wait for a message notice it.


@dataclasses.dataclass(frozen=True)
class TrainRun:
    """Call ``senn_ray.runs.run.train_run`` on the cores or the GPU of a worker.

    Torch is loaded by the first call, so that a driver need not load it.
    """

    cluster: ClusterConfig
    versions: Mapping[str, str] = dataclasses.field(
        default_factory=versions.worker_versions
    )
    """The versions of the driver, where this is made; a worker must have the same."""

    def __call__(
        self,
        spec: RunSpec,
        raw: "RawData",
        *,
        reducer: "Reducer | None",
        on_progress: "Callable[[Progress], None] | None",
    ) -> RunRecord:
        """Train a network and tell the outcome."""
        versions.require_same(self.versions, platform.node())
        import torch

        from senn_ray.runs import run

        # OpenMP keeps this number per thread, so it is set in the one that trains.
        torch.set_num_threads(self.cluster.cpus_per_worker)
        return run.train_run(
            spec,
            raw,
            reducer=reducer,
            on_progress=on_progress,
            device="cuda" if self.cluster.gpus_per_worker else "cpu",
            checkpoints=run.CheckpointPolicy(
                every_s=self.cluster.checkpoint_every_s,
                every_steps=self.cluster.checkpoint_every_steps,
            ),
        )

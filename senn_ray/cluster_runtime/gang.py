"""The driver's side of a gang: its placement, its actors, and what they report.

A gang of one is a plain worker. Gangs stay alive and take one run after another; every
run of a larger gang gets its own process group. If a replica fails, the whole gang is
given up: its peers may be anywhere in the run. (Recovery is left to a later version.)
"""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, cast

import ray
import ray.exceptions
import ray.util
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from senn_ray.cluster_runtime.group import PeerLostError, Seat
from senn_ray.cluster_runtime.replica import Message, Replica, Train
from senn_ray.config import ClusterConfig
from senn_ray.records import Progress, RunRecord, RunSpec
from senn_ray.search.executor import failed_record

Stream = Any
"""What ``ray.wait`` waits for: the messages of one replica."""


class Gang:
    """The replicas that carry out one run at a time."""

    def __init__(self, cluster: ClusterConfig, train: Train) -> None:
        size = cluster.workers_per_run
        self.size = size
        self._group = _place(cluster) if size > 1 else None
        # ray.remote gives a class other methods, which types cannot tell.
        actor: Any = ray.remote(Replica)
        options = {
            "num_cpus": cluster.cpus_per_worker,
            "num_gpus": cluster.gpus_per_worker,
            "max_restarts": 0,
        }
        self._replicas: list[Any] = [
            actor.options(**options, **_bundle(self._group, rank)).remote(
                train, gpus=cluster.gpus_per_worker
            )
            for rank in range(size)
        ]
        # A reference: the other replicas get its value, nobody waits for it here.
        self._store = self._replicas[0].host_store.remote() if size > 1 else None

    def start(self, spec: RunSpec, data: Any) -> list[Stream]:
        """Begin a run.

        Args:
            spec: The run.
            data: Reference to the data set in the object store.

        Returns:
            The messages of each replica, in rank order.
        """
        if self._store is None:
            return [self._replicas[0].run.remote(spec, data)]
        rendezvous = f"{spec.run_id}/{uuid.uuid4().hex}"
        seats = [
            Seat(rendezvous=rendezvous, rank=rank, size=self.size)
            for rank in range(self.size)
        ]
        return [
            replica.run.remote(spec, data, store=self._store, seat=seat)
            for replica, seat in zip(self._replicas, seats, strict=True)
        ]

    def stop(self) -> None:
        """End the processes and give the resources back."""
        for replica in self._replicas:
            ray.kill(replica)
        if self._group is not None:
            ray.util.remove_placement_group(self._group)
            self._group = None


def _place(cluster: ClusterConfig) -> Any:
    bundle = {"CPU": float(cluster.cpus_per_worker), "GPU": cluster.gpus_per_worker}
    wanted = {name: amount for name, amount in bundle.items() if amount}
    return ray.util.placement_group([wanted] * cluster.workers_per_run, strategy="PACK")


def _bundle(group: Any, rank: int) -> dict[str, Any]:
    if group is None:
        return {}
    strategy = PlacementGroupSchedulingStrategy(
        placement_group=group, placement_group_bundle_index=rank
    )
    return {"scheduling_strategy": strategy}


@dataclass(kw_only=True)
class Flight:
    """A run in flight: which gang carries it out, and what came in so far."""

    spec: RunSpec
    gang: Gang
    streams: list[Stream]
    """By rank."""
    started_s: float = field(default_factory=time.monotonic)
    records: dict[int, RunRecord] = field(default_factory=dict)
    echoes: dict[int, str] = field(default_factory=dict)
    """Ranks that lost a peer: this tells that the run failed, but not why."""
    failure: str | None = None
    is_sound: bool = True
    """Whether the gang can take another run."""

    @property
    def live(self) -> list[Stream]:
        """The streams from which more will come."""
        ended = self.records.keys() | self.echoes.keys()
        return [s for rank, s in enumerate(self.streams) if rank not in ended]

    def receive(self, stream: Stream) -> Progress | None:
        """Take the next message of a stream that has one.

        Args:
            stream: One of ``live``.

        Returns:
            A sign of life, if it is one.
        """
        rank = self.streams.index(stream)
        try:
            message: Message = cast("Message", ray.get(next(stream)))
        except ray.exceptions.RayError as error:
            self._fail(rank, error)
            return None
        if isinstance(message, Progress):
            return message
        self.records[rank] = message
        return None

    def outcome(self, *, patient: bool = True) -> RunRecord | None:
        """Tell how the run ended, or nothing if it has not.

        Args:
            patient: Wait for the reason when all that is known is that peers were
                lost.
        """
        if not (self.failure or self.echoes or self.live):
            self.failure = _disagreement(self.records)
            self.is_sound = not self.failure
        if self.echoes and not (patient and self.live):
            self.failure = self.failure or "; ".join(self.echoes.values())
        if self.failure:
            wall_s = time.monotonic() - self.started_s
            return failed_record(self.spec, self.failure, wall_s=wall_s)
        return None if self.echoes or self.live else self.records[0]

    def _fail(self, rank: int, error: ray.exceptions.RayError) -> None:
        cause = getattr(error, "cause", None)
        # A worker whose run raised is well, but not a gang whose peers are mid-run.
        alone = self.gang.size == 1
        self.is_sound = alone and isinstance(error, ray.exceptions.RayTaskError)
        if isinstance(cause, PeerLostError):
            self.echoes[rank] = one_line(cause)
        else:
            name = "" if alone else f"rank {rank}: "
            self.failure = name + one_line(cause or error)


def _disagreement(records: dict[int, RunRecord]) -> str | None:
    """Name the ranks whose network differs from the one of rank 0."""
    others = [r for r, rec in records.items() if rec.checksum != records[0].checksum]
    if not others:
        return None
    return (
        f"replicas disagree: the network of rank {', '.join(map(str, sorted(others)))} "
        "differs from the one of rank 0; please report this as a bug"
    )


def one_line(error: BaseException) -> str:
    """Describe an error on one line; what Ray tells of a death is cut to its cause.

    Args:
        error: What a replica raised, or what Ray raised in its place.
    """
    if isinstance(error, ray.exceptions.RayActorError):
        told = str(error).split("\n")
        causes = [line for line in told if line and not line.startswith("\t")]
        return f"worker process died: {' '.join(causes)}"
    return " ".join(f"{type(error).__name__}: {error}".split())

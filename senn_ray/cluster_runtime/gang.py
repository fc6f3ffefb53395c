"""The processes of a gang: where they are placed, and how they are replaced.

A gang of one without spares is a plain worker. Gangs stay alive and take one run after
another; ``flight.py`` says what happens in a run.
"""

from typing import Any

import ray
import ray.exceptions
import ray.util
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from senn_ray.cluster_runtime.messages import Seat, StoreAddress
from senn_ray.cluster_runtime.worker import Replica, Train
from senn_ray.config import ClusterConfig
from senn_ray.core.records import RunSpec

Stream = Any
"""What ``ray.wait`` waits for: the messages of one replica."""
_THREADS = 4
"""Of an actor: a run, the one before it that is still ending, and messages to both."""
# What Ray says of every death, before and after the exit of the process.
_SAID_OF_ALL = ("before finishing this task.", "its worker process has died.")
_GUESSES = "Some common causes"


class Gang:
    """The replicas, spares included, that carry out one run at a time."""

    def __init__(
        self,
        cluster: ClusterConfig,
        train: Train,
        store: StoreAddress | None = None,
    ) -> None:
        """Start the processes.

        Args:
            cluster: How many, and what each gets.
            train: Carries out a run.
            store: Where replicas meet; not needed by a replica that works alone.
        """
        self.cluster = cluster
        self.store = store
        self.slots = cluster.workers_per_run + cluster.spares
        self._train = train
        self._begun = 0
        self._group = None if self.is_alone else _place(cluster, self.slots)
        self._replicas = [self._actor(slot) for slot in range(self.slots)]

    @property
    def is_alone(self) -> bool:
        """Whether there is one replica, which waits for nobody."""
        return self.slots == 1

    def begin(self, slot: int, spec: RunSpec, data: Any, name: str) -> Stream:
        """Let a replica begin a run, from the beginning or wherever its peers are.

        Args:
            slot: Which process.
            spec: The run.
            data: Reference to the data set in the object store.
            name: Under which name it is offered seats.

        Returns:
            Its messages.
        """
        self._begun += 1
        return self._replicas[slot].run.remote(
            spec, data, number=self._begun, gang=None if self.is_alone else name
        )

    def offer(self, slot: int, seat: Seat) -> None:
        """Give a replica a seat.

        Args:
            slot: Which process.
            seat: The seat.
        """
        self._replicas[slot].offer.remote(seat)

    def dismiss(self, slot: int, name: str) -> None:
        """Tell a replica that a run needs it no more.

        Args:
            slot: Which process.
            name: The name of the run.
        """
        self._replicas[slot].dismiss.remote(name)

    def alarm(self, slot: int, name: str, epoch: int) -> None:
        """Tell a replica that another one of its membership was lost.

        Args:
            slot: Which process.
            name: The name of the run.
            epoch: The membership.
        """
        self._replicas[slot].alarm.remote(name, epoch)

    def ask(self, slot: int) -> Any:
        """Ask a replica whether it is alive.

        Args:
            slot: Which process.

        Returns:
            The question, for ``has_answered``.
        """
        return self._replicas[slot].answer.remote()

    def has_answered(self, question: Any) -> bool:
        """Tell whether a question was answered by now.

        Args:
            question: What ``ask`` gave.
        """
        answered, _ = ray.wait([question], timeout=0)
        return bool(answered)

    def replace(self, slot: int) -> None:
        """End a process, if it still is there, and start another one in its place.

        Args:
            slot: Which process.
        """
        ray.kill(self._replicas[slot])
        self._replicas[slot] = self._actor(slot)

    def stop(self) -> None:
        """End the processes and give the resources back."""
        for replica in self._replicas:
            ray.kill(replica)
        if self._group is not None:
            ray.util.remove_placement_group(self._group)
            self._group = None

    def _actor(self, slot: int) -> Any:
        # ray.remote gives a class other methods, which types cannot tell.
        actor: Any = ray.remote(Replica)
        return actor.options(
            num_cpus=self.cluster.cpus_per_worker,
            num_gpus=self.cluster.gpus_per_worker,
            max_restarts=0,
            max_concurrency=_THREADS,
            **_bundle(self._group, slot),
        ).remote(self._train, self.cluster)


def _place(cluster: ClusterConfig, slots: int) -> Any:
    bundle = {"CPU": float(cluster.cpus_per_worker), "GPU": cluster.gpus_per_worker}
    wanted = {name: amount for name, amount in bundle.items() if amount}
    return ray.util.placement_group([wanted] * slots, strategy=cluster.placement)


def _bundle(group: Any, slot: int) -> dict[str, Any]:
    if group is None:
        return {}
    strategy = PlacementGroupSchedulingStrategy(
        placement_group=group, placement_group_bundle_index=slot
    )
    return {"scheduling_strategy": strategy}


def one_line(error: BaseException) -> str:
    """Describe an error on one line; what Ray tells of a death is cut to its cause.

    Args:
        error: What a replica raised, or what Ray raised in its place.
    """
    if isinstance(error, ray.exceptions.RayActorError):
        told = str(error).split("\n")
        text = " ".join(line for line in told if line and not line.startswith("\t"))
        for common in _SAID_OF_ALL:
            text = text.split(common)[-1]
        return f"worker process died: {text.split(_GUESSES)[0].strip()}"
    return " ".join(f"{type(error).__name__}: {error}".split())

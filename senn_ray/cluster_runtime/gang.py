"""The processes of a gang: where they are placed, and how they are replaced.

A gang of one without spares is a plain worker. Gangs stay alive and take one run after
another; ``gang_run.py`` says what happens in a run.
"""

from typing import Any

import ray
import ray.exceptions
import ray.util
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from senn_ray.cluster_runtime.messages import Seat, StoreAddress
from senn_ray.cluster_runtime.worker import Train, Worker
from senn_ray.config import ClusterConfig
from senn_ray.core.records import RunSpec

Stream = Any
"""What ``ray.wait`` waits for: the messages of one replica."""
_THREADS = 4
"""Number of calls at once: a run, one before it that still ends, messages to both."""
# What Ray says of every death, before and after the exit of the process.
_SAID_OF_ALL = ("before finishing this task.", "its worker process has died.")
_GUESSES = "Some common causes"


class Gang:
    """The worker processes, spares included, that carry out one run at a time.

    They are known by their slots, 0 to ``slots`` - 1. What is sent to a worker is not
    waited for: one that is dead or stuck must not hold up the driver.
    """

    def __init__(
        self,
        cluster: ClusterConfig,
        train: Train,
        store: StoreAddress | None = None,
    ) -> None:
        """Start the processes; those that work alone need no store to meet at."""
        self.cluster = cluster
        self.store = store
        self.slots = cluster.workers_per_run + cluster.spares
        self._train = train
        self._begun = 0
        self._group: Any = None
        if not self.is_alone:
            # All or nothing: half a gang would hold its cores and wait for the rest.
            bundle = {"CPU": cluster.cpus_per_worker, "GPU": cluster.gpus_per_worker}
            wanted = {name: float(amount) for name, amount in bundle.items() if amount}
            self._group = ray.util.placement_group(
                [wanted] * self.slots, strategy=cluster.placement
            )
        self._workers = [self._actor(slot) for slot in range(self.slots)]

    @property
    def is_alone(self) -> bool:
        """Whether there is one replica, which needs no peers to begin."""
        return self.slots == 1

    def begin(self, slot: int, spec: RunSpec, data: Any, name: str) -> Stream:
        """Let a worker begin a run, from the start or wherever its peers are.

        Returns:
            Its messages.
        """
        self._begun += 1
        return self._workers[slot].run.remote(
            spec, data, number=self._begun, gang=None if self.is_alone else name
        )

    def offer(self, slot: int, seat: Seat) -> None:
        """Offer a worker a seat."""
        self._workers[slot].offer.remote(seat)

    def dismiss(self, slot: int, name: str) -> None:
        """Tell a worker that the run of this name needs it no more."""
        self._workers[slot].dismiss.remote(name)

    def alarm(self, slot: int, name: str, epoch: int) -> None:
        """Tell a worker that another one of its membership was lost."""
        self._workers[slot].alarm.remote(name, epoch)

    def ask(self, slot: int) -> Any:
        """Ask a worker whether it is alive; ``has_answered`` takes the question."""
        return self._workers[slot].answer.remote()

    def has_answered(self, question: Any) -> bool:
        """Tell whether a question was answered by now."""
        answered, _ = ray.wait([question], timeout=0)
        return bool(answered)

    def replace(self, slot: int) -> None:
        """End a process, if it still is there, and start another one in its place."""
        ray.kill(self._workers[slot])
        self._workers[slot] = self._actor(slot)

    def stop(self) -> None:
        """End the processes and give the resources back."""
        for worker in self._workers:
            ray.kill(worker)
        if self._group is not None:
            ray.util.remove_placement_group(self._group)
            self._group = None

    def _actor(self, slot: int) -> Any:
        # ray.remote gives a class other methods, which types cannot tell.
        actor: Any = ray.remote(Worker)
        placed: dict[str, Any] = {}
        if self._group is not None:
            placed["scheduling_strategy"] = PlacementGroupSchedulingStrategy(
                placement_group=self._group, placement_group_bundle_index=slot
            )
        return actor.options(
            num_cpus=self.cluster.cpus_per_worker,
            num_gpus=self.cluster.gpus_per_worker,
            # gang_run.py decides what follows a death, and knows which run it hit.
            max_restarts=0,
            max_concurrency=_THREADS,
            **placed,
        ).remote(self._train, self.cluster)


def one_line(error: BaseException) -> str:
    """Describe an error on one line; what Ray tells of a death is cut to its cause."""
    if isinstance(error, ray.exceptions.RayActorError):
        told = str(error).split("\n")
        text = " ".join(line for line in told if line and not line.startswith("\t"))
        for common in _SAID_OF_ALL:
            text = text.split(common)[-1]
        return f"worker process died: {text.split(_GUESSES)[0].strip()}"
    return " ".join(f"{type(error).__name__}: {error}".split())

"""The executor on Ray: a pool of workers (or gangs) that stay, fed from a queue.

The data set is put into the object store once and read from there without copies.
"""

import contextlib
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import ray
import ray.util

from senn_ray.cluster_runtime.apart import Apart
from senn_ray.cluster_runtime.gang import Gang, Stream
from senn_ray.cluster_runtime.gang_run import Flight
from senn_ray.cluster_runtime.messages import StoreAddress
from senn_ray.cluster_runtime.pulse import LOOK_S
from senn_ray.cluster_runtime.resources import runs_that_fit, runs_together
from senn_ray.cluster_runtime.session import Session, open_session
from senn_ray.cluster_runtime.worker import Train, TrainRun, TrainSeeds, TrainTogether
from senn_ray.config import ClusterConfig
from senn_ray.core.events import RunFinished, RunProgressed
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.search.executor import Report

if TYPE_CHECKING:
    from senn_ray.data.examples import RawData


class RayExecutor:
    """Carry out runs side by side on a Ray cluster; use it in a ``with`` block."""

    def __init__(
        self,
        raw: "RawData",
        cluster: ClusterConfig,
        *,
        train: Train | None = None,
        together: TrainTogether | None = None,
        session: Session | None = None,
    ) -> None:
        """Note what to do; nothing starts before the ``with`` block.

        Args:
            raw: The data set.
            cluster: Where to run, and what every run gets.
            train: Carries out a run, in a worker process (default: really).
            together: Carries out several runs of one cell (default: really).
            session: An open session to use (default: one of its own).
        """
        self.capacity = 0
        self.where = ""
        self._raw = raw
        self._cluster = cluster
        self.together = runs_together(cluster)
        self._train = train or TrainRun(cluster)
        self._train_together = together or TrainSeeds(cluster)
        self._session = session
        self._stack = contextlib.ExitStack()
        self._waiting: deque[tuple[RunSpec, ...]] = deque()
        self._apart = Apart()
        self._flights: list[Flight] = []
        self._idle: list[Gang] = []
        self._store: tuple[object, StoreAddress] | None = None

    def __enter__(self) -> Self:
        """Connect, and share the data set."""
        opened = self._session or self._stack.enter_context(open_session(self._cluster))
        self.where = opened.where
        self.capacity = runs_that_fit(self._cluster, opened.nodes)
        self._pulse = opened.pulse
        self._data = ray.put(self._raw)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the executor."""
        self.close()

    def submit(self, spec: RunSpec) -> None:
        """Start a run if there is room, or else queue it."""
        self.submit_together([spec])

    def submit_together(self, specs: Sequence[RunSpec]) -> None:
        """Start runs of one cell on one worker if there is room, or else queue them."""
        self._waiting.append(tuple(specs))
        self._fill()

    def wait(self) -> list[Report]:
        """Block for reports; return an empty list if nothing is in flight.

        It is a ClusterLostError if the cluster is gone.
        """
        while self._flights:
            streams = {s: flight for flight in self._flights for s in flight.live}
            due = [s for flight in self._flights if (s := flight.due_s()) is not None]
            ready, _ = ray.wait(
                list(streams), num_returns=1, timeout=min([*due, LOOK_S])
            )
            # Before anything is received: a run whose cluster is gone did not fail.
            self._pulse.check()
            reports = self._receive(ready, streams)
            if reports:
                return reports
        return []

    def close(self) -> None:
        """Abandon what is in flight and end the workers. May be called twice."""
        gangs = [*self._idle, *(flight.gang for flight in self._flights)]
        if gangs and self._pulse.is_lost:
            gangs = []  # They end with the cluster, and calls to it would not return.
        for gang in gangs:
            gang.stop()
        self._waiting.clear()
        self._flights.clear()
        self._idle.clear()
        self._store = None
        self._stack.close()

    def _receive(
        self, ready: list[Stream], streams: dict[Stream, Flight]
    ) -> list[Report]:
        received = [streams[stream].receive(stream) for stream in ready]
        reports: list[Report] = [RunProgressed(progress=p) for p in received if p]
        for flight in [*self._flights]:
            flight.tick()
            if record := flight.outcome():
                self._land(flight)
                found = self._finished(flight, record)
                reports += [RunFinished(record=one) for one in found]
        self._fill()
        return reports

    def _finished(self, flight: Flight, record: RunRecord) -> list[RunRecord]:
        """List the records of a flight; runs that failed in company go on alone."""
        unit = (flight.spec, *flight.mates)
        if record.state == "failed" and flight.mates:
            self._apart.take(unit, record)
            self._waiting.extendleft((spec,) for spec in reversed(unit))
            return []
        return [self._apart.complete(r) for r in (record, *flight.records_of_mates)]

    def _land(self, flight: Flight) -> None:
        self._flights.remove(flight)
        if flight.is_sound:
            self._idle.append(flight.gang)
        else:
            flight.gang.stop()

    def _fill(self) -> None:
        while self._waiting and len(self._flights) < self.capacity:
            spec, *mates = self._waiting.popleft()
            gang = self._idle.pop() if self._idle else self._new_gang()
            self._flights.append(Flight(spec, gang, self._data, mates=mates))

    def _new_gang(self) -> Gang:
        return Gang(
            self._cluster, self._train, self._train_together, self._meeting_point()
        )

    def _meeting_point(self) -> StoreAddress | None:
        """Open the store where replicas meet: here, so that it outlives all of them."""
        if self._cluster.workers_per_run == 1:
            return None
        if self._store is None:
            from senn_ray.cluster_runtime import group

            self._store = group.host_store(ray.util.get_node_ip_address())
        return self._store[1]

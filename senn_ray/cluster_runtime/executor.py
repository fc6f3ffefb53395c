"""The executor on Ray: a pool of workers (or gangs) that stay, fed from a queue.

The data set is put into the object store once and read from there without copies.
"""

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Self

import ray
import ray.util

from senn_ray.cluster_runtime.gang import Gang, Stream
from senn_ray.cluster_runtime.gang_run import GangRun
from senn_ray.cluster_runtime.messages import StoreAddress
from senn_ray.cluster_runtime.reach import LOOK_S
from senn_ray.cluster_runtime.resources import runs_that_fit
from senn_ray.cluster_runtime.session import Session, open_session
from senn_ray.cluster_runtime.worker import Train, TrainRun
from senn_ray.config import ClusterConfig
from senn_ray.core.events import RunFinished, RunProgressed
from senn_ray.core.records import RunSpec
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
        session: Session | None = None,
    ) -> None:
        """Note what to do; nothing starts before the ``with`` block.

        Args:
            raw: The data set.
            cluster: Where to run, and what every run gets.
            train: Carries out a run, in a worker process (default: really).
            session: An open session to use (default: one of its own).
        """
        self.capacity = 0
        self.where = ""
        self._raw = raw
        self._cluster = cluster
        self._train = train or TrainRun(cluster)
        self._session = session
        self._stack = contextlib.ExitStack()
        self._waiting: deque[RunSpec] = deque()
        self._runs: list[GangRun] = []
        self._idle: list[Gang] = []
        self._store: tuple[object, StoreAddress] | None = None

    def __enter__(self) -> Self:
        """Connect, and share the data set."""
        opened = self._session or self._stack.enter_context(open_session(self._cluster))
        self.where = opened.where
        self.capacity = runs_that_fit(self._cluster, opened.nodes)
        self._probe = opened.probe
        self._data = ray.put(self._raw)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the executor."""
        self.close()

    def submit(self, spec: RunSpec) -> None:
        """Start a run if there is room, or else queue it."""
        self._waiting.append(spec)
        self._fill()

    def wait(self) -> list[Report]:
        """Block for reports; return an empty list if nothing is in flight.

        It is a ClusterLostError if the cluster is gone.
        """
        while self._runs:
            streams = {stream: run for run in self._runs for stream in run.live}
            due = [s for run in self._runs if (s := run.due_s()) is not None]
            ready, _ = ray.wait(
                list(streams), num_returns=1, timeout=min([*due, LOOK_S])
            )
            # Before anything is received: a run whose cluster is gone did not fail.
            self._probe.check()
            reports = self._receive(ready, streams)
            if reports:
                return reports
        return []

    def close(self) -> None:
        """Abandon what is in flight and end the workers. May be called twice."""
        gangs = [*self._idle, *(run.gang for run in self._runs)]
        if gangs and self._probe.is_lost:
            gangs = []  # They end with the cluster, and calls to it would not return.
        for gang in gangs:
            gang.stop()
        self._waiting.clear()
        self._runs.clear()
        self._idle.clear()
        self._store = None
        self._stack.close()

    def _receive(
        self, ready: list[Stream], streams: dict[Stream, GangRun]
    ) -> list[Report]:
        """Take the messages that are there, and do what is due; begin waiting runs."""
        received = [streams[stream].receive(stream) for stream in ready]
        reports: list[Report] = [RunProgressed(progress=p) for p in received if p]
        for run in [*self._runs]:
            run.tick()
            if record := run.outcome():
                reports.append(RunFinished(record=record))
                self._runs.remove(run)
                if run.is_sound:
                    self._idle.append(run.gang)
                else:
                    run.gang.stop()
        self._fill()
        return reports

    def _fill(self) -> None:
        """Begin waiting runs, on gangs that are idle or on new ones."""
        while self._waiting and len(self._runs) < self.capacity:
            spec = self._waiting.popleft()
            if not self._idle:
                gang = Gang(self._cluster, self._train, self._meeting_point())
                self._idle.append(gang)
            self._runs.append(GangRun(spec, self._idle.pop(), self._data))

    def _meeting_point(self) -> StoreAddress | None:
        """Open the store where replicas meet: here, so that it outlives all of them."""
        if self._cluster.workers_per_run == 1:
            return None
        if self._store is None:
            from senn_ray.cluster_runtime import group

            self._store = group.host_store(ray.util.get_node_ip_address())
        return self._store[1]

"""The executor on Ray: a pool of workers (or gangs) that stay, fed from a queue.

The data set is put into the object store once and read from there without copies.
"""

import contextlib
import dataclasses
import time
from collections import deque
from typing import TYPE_CHECKING, Self

import ray
import ray.util

from senn_ray.cluster_runtime.gang import Gang, Stream
from senn_ray.cluster_runtime.gang_run import GangRun
from senn_ray.cluster_runtime.messages import StoreAddress
from senn_ray.cluster_runtime.reach import LOOK_S
from senn_ray.cluster_runtime.resources import runs_that_fit
from senn_ray.cluster_runtime.session import Session, live_nodes, open_session
from senn_ray.cluster_runtime.worker import Train, TrainRun
from senn_ray.config import ClusterConfig
from senn_ray.core.errors import ResourceError
from senn_ray.core.events import CapacityChanged, RunBegun, RunFinished, RunProgressed
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.search.executor import Report

if TYPE_CHECKING:
    from senn_ray.data.examples import RawData

ATTEMPTS = 2
"""How often a run is begun again that its machines have failed."""
NODES_S = 5.0
IDLE_S, PENDING_S = 30.0, 10.0
"""Seconds that a gang may be idle, and that a run waits before idle ones make room."""


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
        self._idle: list[tuple[Gang, float]] = []
        """Gangs without a run, and since when."""
        self._begun: set[str] = set()
        self._attempts: dict[str, list[str]] = {}
        """Why earlier attempts of a run were abandoned."""
        self._wasted: dict[str, float] = {}
        self._looked_s = 0.0
        self._failure: ResourceError | None = None
        """Why the job cannot go on: raised when all before it has been told."""
        self._store: tuple[object, StoreAddress] | None = None

    def __enter__(self) -> Self:
        """Connect, and share the data set."""
        opened = self._session or self._stack.enter_context(open_session(self._cluster))
        self.where = opened.where
        self.capacity = runs_that_fit(self._cluster, opened.nodes)
        self._looked_s = time.monotonic()
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
        while self._runs and self._failure is None:
            streams = {stream: run for run in self._runs for stream in run.live}
            due = [s for run in self._runs if (s := run.due_s()) is not None]
            ready, _ = ray.wait(
                list(streams), num_returns=1, timeout=min([*due, LOOK_S])
            )
            # Before anything is received: a run whose cluster is gone did not fail.
            self._probe.check()
            reports = [*self._receive(ready, streams), *self._look_at_nodes()]
            self._release_idle()
            if reports:
                return reports
        if self._failure is not None:
            raise self._failure
        return []

    def close(self) -> None:
        """Abandon what is in flight and end the workers. May be called twice."""
        gangs = [*(gang for gang, _ in self._idle), *(run.gang for run in self._runs)]
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
        reports = list[Report]()
        for stream in ready:
            run = streams[stream]
            progress = run.receive(stream)
            if run.has_begun and run.spec.run_id not in self._begun:
                self._begun.add(run.spec.run_id)
                begun = RunBegun(run_id=run.spec.run_id, workers=run.spec.workers)
                reports.append(begun)
            if progress:
                reports.append(RunProgressed(progress=progress))
        for run in [*self._runs]:
            run.tick()
            record = run.outcome()
            if record:
                reports.append(RunFinished(record=self._with_attempts(record)))
            elif run.abandoned:
                self._attempt_again(run, run.abandoned)
            else:
                continue
            self._runs.remove(run)
            if run.is_sound:
                self._idle.append((run.gang, time.monotonic()))
            else:
                run.gang.stop()
        self._fill()
        return reports

    def _attempt_again(self, run: GangRun, reason: str) -> None:
        """Queue a run that its machines have failed; after some attempts, give up the job.

        Such a run has no record, so a resumed job does it again.
        """
        run_id = run.spec.run_id
        attempts = self._attempts.setdefault(run_id, [])
        attempts.append(reason)
        self._wasted[run_id] = self._wasted.get(run_id, 0.0) + run.held_device_s
        if len(attempts) > ATTEMPTS:
            self._failure = ResourceError(
                f"{run_id} was begun {len(attempts)} times and could not go on: {reason}; "
                "it is not counted: mend that, then senn-ray resume RUN"
            )
            return
        self._begun.discard(run_id)
        self._waiting.append(run.spec)

    def _with_attempts(self, record: RunRecord) -> RunRecord:
        """Add what earlier attempts of a run have cost, and why they were abandoned."""
        notes = tuple(self._attempts.pop(record.run_id, ()))
        wasted = self._wasted.pop(record.run_id, 0.0)
        if not notes:
            return record
        lost = record.cost.wasted_device_s + wasted
        return dataclasses.replace(
            record,
            cost=dataclasses.replace(record.cost, wasted_device_s=lost),
            interruptions=(*notes, *record.interruptions),
        )

    def _look_at_nodes(self) -> list[Report]:
        """Notice nodes that have come or gone, every few seconds.

        Raises:
            ResourceError: if no run would ever fit any more, for as long as workers are
                waited for.
        """
        now = time.monotonic()
        if now < self._looked_s + NODES_S or not self._probe.head_answers():
            return []
        try:
            capacity = runs_that_fit(self._cluster, live_nodes())
        except ResourceError as error:
            if now < self._looked_s + NODES_S + self._cluster.wait_for_workers_s:
                return []
            raise ResourceError(f"{error}; senn-ray resume RUN goes on") from error
        self._looked_s = now
        if capacity == self.capacity:
            return []
        self.capacity = capacity
        self._fill()
        return [CapacityChanged(capacity=capacity)]

    def _release_idle(self) -> None:
        """End gangs that have had no run for long, or whose cores a run waits for."""
        waits = any(run.pending_s > PENDING_S for run in self._runs)
        since = time.monotonic() - (0.0 if waits else IDLE_S)
        for gang, idle_s in [*self._idle]:
            if idle_s <= since:
                self._idle.remove((gang, idle_s))
                gang.stop()

    def _fill(self) -> None:
        """Begin waiting runs, on gangs that are idle or on new ones."""
        while self._waiting and len(self._runs) < self.capacity:
            spec = self._waiting.popleft()
            if self._idle:
                gang, _ = self._idle.pop()
            else:
                gang = Gang(self._cluster, self._train, self._meeting_point())
            self._runs.append(GangRun(spec, gang, self._data))

    def _meeting_point(self) -> StoreAddress | None:
        """Open the store where replicas meet: here, so that it outlives all of them."""
        if self._cluster.workers_per_run == 1:
            return None
        if self._store is None:
            from senn_ray.cluster_runtime import group

            self._store = group.host_store(ray.util.get_node_ip_address())
        return self._store[1]

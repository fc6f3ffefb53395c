"""The driver: this process, working on a job in a run folder that it holds."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from senn_ray.core.errors import ClusterLostError, SennRayError
from senn_ray.core.events import Event, JobEnded, JobResumed, JobStarted, end_of
from senn_ray.core.records import RunSpec
from senn_ray.search import protocol
from senn_ray.search.plan import Plan
from senn_ray.store import folder as run_folder
from senn_ray.store import journal, stopping
from senn_ray.store.locations import Held

if TYPE_CHECKING:
    from senn_ray.search.executor import Executor

Observer = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Driver:
    """What works on a job: this process, with an executor, in a folder that it holds."""

    plan: Plan
    held: Held
    executor: "Executor"
    observe: Observer
    extended: dict[str, Any] = field(default_factory=dict)
    """Settings that a resumed job raises, and to what."""
    retry_failed: bool = False
    data_notes: tuple[str, ...] = ()
    """What was made of the data."""

    def run(self) -> JobEnded:
        """Run the job to its end, from its beginning or from where its journal ends."""
        from senn_ray.search.arms.optuna_studies import OptunaStudies
        from senn_ray.search.attempts import seconds_lost
        from senn_ray.search.coordinator import run_job
        from senn_ray.search.ending import Meter, Stoppable, raise_if_shared
        from senn_ray.search.resume import restore

        folder = self.held.folder
        timed = run_folder.timed_events(folder)
        before = [event for _, event in timed]
        state = restore(
            self.plan,
            before,
            capacity=self.executor.capacity,
            retry_failed=self.retry_failed,
        )
        resumed = self._resumed(state.lost, seconds_lost(timed))
        meter = Meter(self.plan.config.budget, timed)
        writer = journal.Journal(
            folder / journal.FILE_NAME,
            writer=self.held.epoch,
            guard=self.held.check,
            copy=self.held.copy,
        )
        with (
            _resumable(self.held),
            _manifest_kept(folder),
            contextlib.closing(writer),
            stopping.obeyed(folder) as asked,
        ):
            return run_job(
                state,
                resumed if _tells_its_beginning(before) else self._started(),
                executor=Stoppable(self.executor, lambda: asked() or meter.exceeded()),
                journal=writer,
                studies=OptunaStudies(self.plan, folder / "optuna"),
                observe=_all(
                    meter.observe,
                    self.observe,
                    functools.partial(raise_if_shared, self.plan),
                ),
            )

    @property
    def _facts(self) -> dict[str, Any]:
        return {"versions": protocol.versions(), "where": self.executor.where}

    def _started(self) -> JobStarted:
        config = self.plan.config.model_dump(mode="json")
        return JobStarted(
            verb=self.plan.verb,
            config=config,
            data_notes=self.data_notes,
            **self._facts,
        )

    def _resumed(
        self, lost: Sequence[RunSpec], lost_device_s: dict[str, float]
    ) -> JobResumed:
        return JobResumed(
            resubmitted=tuple(spec.run_id for spec in lost),
            lost_device_s=lost_device_s,
            extended=self.extended,
            protocol_id=run_folder.protocol_id(self.held.folder)
            if self.extended
            else "",
            **self._facts,
        )


def _tells_its_beginning(events: Sequence[Event]) -> bool:
    """Tell whether a journal has its first line, undamaged."""
    return any(isinstance(event, JobStarted) for event in events)


@contextlib.contextmanager
def _resumable(held: Held) -> Iterator[None]:
    """Say where a job is, and how it goes on, if its cluster is lost in the block."""
    try:
        yield
    except ClusterLostError as error:
        raise ClusterLostError(
            f"{error}; what is finished is in {held.location}; go on with: "
            f"senn-ray resume {held.location}"
        ) from error


@contextlib.contextmanager
def _manifest_kept(folder: Path) -> Iterator[None]:
    """Write into the manifest how a job stands, also if an error ends it."""
    try:
        yield
    finally:
        # Nothing that goes wrong here may hide the error that ended the job.
        with contextlib.suppress(OSError, SennRayError):
            events = run_folder.events(folder)
            run_folder.set_state(folder, end_of(events, alive=False).state)


def _all(*observers: Observer) -> Observer:
    def observe(event: Event) -> None:
        for each in observers:
            each(event)

    return observe

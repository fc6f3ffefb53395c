"""Jobs: bind data, search, an executor and a run folder, from start or resume to end."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from senn_ray import folder as run_folder
from senn_ray import lock, stopping
from senn_ray.config import ClusterConfig, Config
from senn_ray.errors import DataError
from senn_ray.events import Event, JobEnded, JobResumed, JobStarted, RunFinished
from senn_ray.records import RunRecord, RunSpec
from senn_ray.search import changes, journal, protocol
from senn_ray.search.plan import Plan, Verb

if TYPE_CHECKING:
    import pyarrow as pa

    from senn_ray.search.executor import Executor
    from senn_ray.training.data import RawData

Observer = Callable[[Event], None]
MakeExecutor = Callable[["RawData", ClusterConfig], AbstractContextManager["Executor"]]


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What a job left behind."""

    folder: Path
    """The run folder, absolute."""
    summary: dict[str, Any]
    """The contents of ``summary.json``."""
    exit_code: int
    """0; 6 if some runs failed or diverged; 130 if interrupted."""
    was_over: bool = False
    """Whether a job that was to be resumed had nothing left to do."""

    def table(self, name: str) -> "pa.Table":
        """Read a table: runs, steps, expansions, matches, sizes or scan.

        Args:
            name: The name of the table.
        """
        from senn_ray.report import tables

        return tables.read(self.folder, name)


def _on_ray(
    raw: "RawData", cluster: ClusterConfig
) -> AbstractContextManager["Executor"]:
    from senn_ray.cluster_runtime.executor import RayExecutor

    return RayExecutor(raw, cluster)


def start(
    verb: Verb,
    config: Config,
    out: Path | None,
    *,
    observe: Observer | None,
    executor: MakeExecutor | None,
) -> JobResult:
    """Run a job from its beginning.

    Args:
        verb: What to do.
        config: The settings.
        out: The run folder, new or empty (default: a new one under ``output.root``).
        observe: Is shown every event while the job runs.
        executor: Makes the executor (default: Ray).
    """
    from senn_ray.training import datasets

    folder = run_folder.choose(out, config, verb)
    raw = datasets.load(config.data)
    if verb == "scan":
        config = _with_sizes(config, raw)
    plan = Plan(verb=verb, config=config, checkpoints=folder / "checkpoints")
    frozen = protocol.freeze(plan, data_sha256=_sha256(raw))
    with contextlib.ExitStack() as held:
        with (executor or _on_ray)(raw, config.cluster) as ready:
            check = held.enter_context(lock.hold(folder))
            run_folder.create(folder, plan, frozen)
            ended = _coordinate(plan, folder, ready, observe or _ignore, check)
        summary = finish(folder)
    return JobResult(folder=folder, summary=summary, exit_code=ended.exit_code)


def resume(
    folder: Path,
    settings: Config | None,
    *,
    observe: Observer | None,
    executor: MakeExecutor | None,
) -> JobResult:
    """Run a job from where its journal ends.

    Args:
        folder: The run folder.
        settings: Settings that must agree with the job's, if explicitly set.
        observe: Is shown every event while the job runs.
        executor: Makes the executor (default: Ray).
    """
    folder = folder.expanduser().absolute()
    plan = _continued(folder, settings)
    with lock.hold(folder) as check:
        ended = _outcome(folder)
        was_over = ended is not None
        if ended is None:
            raw = same_data(plan, folder)
            with (executor or _on_ray)(raw, plan.config.cluster) as ready:
                run_folder.set_state(folder, "running")
                ended = _coordinate(plan, folder, ready, observe or _ignore, check)
        summary = finish(folder)
    code = ended.exit_code
    return JobResult(folder=folder, summary=summary, exit_code=code, was_over=was_over)


def rerun(
    folder: Path,
    run_id: str,
    *,
    tolerance: float,
    settings: Config | None,
    observe: Observer | None,
    executor: MakeExecutor | None,
) -> dict[str, Any]:
    """Carry out one run of a job again, and compare the records.

    Args:
        folder: The run folder; nothing is written into it.
        run_id: The run.
        tolerance: Relative difference of numbers that is let pass; 0: not a bit.
        settings: Settings that must agree with the job's, if explicitly set.
        observe: Is shown signs of life, and the new record.
        executor: Makes the executor (default: Ray).

    Returns:
        See ``app.rerun``.
    """
    from senn_ray.search import rerun

    folder = folder.expanduser().absolute()
    spec, record = rerun.recorded(journal.read(folder), run_id)
    plan = _continued(folder, settings)
    raw = same_data(plan, folder)
    with (executor or _on_ray)(raw, plan.config.cluster) as ready:
        again = _carry_out(spec, ready, observe or _ignore)
    found = rerun.differences(record, again, tolerance=tolerance)
    return {
        "run": str(folder),
        "run_id": run_id,
        "same": not found,
        "tolerance": tolerance,
        "differences": found,
        "hidden": list(again.hidden),
        "val_loss": again.val_loss,
        "checksum": again.checksum,
        "wall_s": again.wall_s,
        "versions_changed": _versions_changed(folder),
    }


def _carry_out(spec: RunSpec, executor: "Executor", observe: Observer) -> RunRecord:
    executor.submit(spec)
    while reports := executor.wait():
        for report in reports:
            observe(report)
            if isinstance(report, RunFinished):
                return report.record
    raise RuntimeError(f"{spec.run_id} came to rest without a record")


def _versions_changed(folder: Path) -> dict[str, list[str]]:
    """List the packages that have another version than when the job began."""
    started = next(e for e in run_folder.events(folder) if isinstance(e, JobStarted))
    now = protocol.versions()
    return {
        name: [was, now[name]]
        for name, was in started.versions.items()
        if name in now and now[name] != was
    }


def _with_sizes(config: Config, raw: "RawData") -> Config:
    """Settle which sizes a scan visits, before anything is written or started."""
    from senn_ray.search.scan import settle
    from senn_ray.training.splits import most_per_class

    most = most_per_class(raw, config.data)
    return config.model_copy(update={"scan": settle(config.scan, most)})


def _continued(folder: Path, settings: Config | None) -> Plan:
    """Return the plan of a job that goes on, if nobody wants another one."""
    plan = run_folder.recorded_plan(folder)
    config, written = plan.config, run_folder.written_config(folder)
    if written is not None:
        config = changes.continued(config, written, source="config.yaml")
    if settings is not None:
        config = changes.continued(config, settings, source="given now")
    return replace(plan, config=config)


def _outcome(folder: Path) -> JobEnded | None:
    from senn_ray.search.resume import outcome

    return outcome(run_folder.events(folder))


def same_data(plan: Plan, folder: Path) -> "RawData":
    """Load the data set of a job again.

    Args:
        plan: The plan of the job.
        folder: The run folder.

    Raises:
        DataError: if it is not the one that the job began with.
    """
    from senn_ray.training import datasets

    raw = datasets.load(plan.config.data)
    if run_folder.recorded_sha256(folder) not in {None, _sha256(raw)}:
        raise DataError(
            f"the data set {plan.config.data.dataset} is not the one that this job "
            "began with (protocol.json has its hash); restore it, or start a new run"
        )
    return raw


def _sha256(raw: "RawData") -> str:
    arrays = (raw.train_x, raw.train_y, raw.test_x, raw.test_y)
    return run_folder.hash_arrays(*arrays)


def _coordinate(
    plan: Plan,
    folder: Path,
    executor: "Executor",
    observe: Observer,
    check: Callable[[], None],
) -> JobEnded:
    """Run a job to its end, from its beginning or from where its journal ends."""
    from senn_ray.search.arms.optuna_studies import OptunaStudies
    from senn_ray.search.coordinator import run_job
    from senn_ray.search.resume import restore
    from senn_ray.search.stoppable import Stoppable

    before = run_folder.events(folder)
    state = restore(plan, before, capacity=executor.capacity)
    facts = {"versions": protocol.versions(), "where": executor.where}
    lost = tuple(spec.run_id for spec in state.lost)
    config = plan.config.model_dump(mode="json")
    first = (
        JobResumed(resubmitted=lost, **facts)
        if before
        else JobStarted(verb=plan.verb, config=config, **facts)
    )
    path = folder / journal.FILE_NAME
    with (
        contextlib.closing(journal.Journal(path, guard=check)) as writer,
        stopping.obeyed(folder) as stop,
    ):
        return run_job(
            state,
            first,
            executor=Stoppable(executor, stop),
            journal=writer,
            studies=OptunaStudies(plan, folder / "optuna"),
            observe=observe,
        )


def finish(folder: Path) -> dict[str, Any]:
    """Write summary, tables and page from the journal.

    Args:
        folder: The run folder.

    Returns:
        The summary.
    """
    from senn_ray.report import page, tables
    from senn_ray.search.summary import summarise

    events = journal.read(folder)
    summary = summarise(events)
    run_folder.write_json(folder / "summary.json", summary)
    run_folder.set_state(folder, summary["state"])
    tables.write(folder, events, summary)
    page.write(folder)
    return summary


def _ignore(event: Event) -> None:
    del event

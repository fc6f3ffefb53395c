"""Jobs: bind data, search, an executor and a run folder, from start or resume to end."""

import contextlib
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from senn_ray.config import ClusterConfig, Config
from senn_ray.config.effects import NoEffectWarning, without_effect
from senn_ray.core import files
from senn_ray.core.errors import BudgetError, DataError, Notice, SennRayError
from senn_ray.core.events import Event
from senn_ray.core.records import Progress, RunRecord, RunSpec
from senn_ray.search import changes
from senn_ray.search.arms import unread
from senn_ray.search.plan import Plan, Verb
from senn_ray.search.specs import check_settings
from senn_ray.service import freezing, trust
from senn_ray.service.driver import Driver, Observer
from senn_ray.service.live import live_writer
from senn_ray.store import folder as run_folder
from senn_ray.store import journal, locations
from senn_ray.store.locations import Location

if TYPE_CHECKING:
    import pyarrow as pa

    from senn_ray.analysis.results import Summary
    from senn_ray.data.examples import RawData
    from senn_ray.search.executor import Executor

DESCRIPTION = ("config.yaml", "protocol.json", "manifest.json")
EXTEND_BUDGET = "budget.device_hours=HOURS (or budget.wall_hours)"
MakeExecutor = Callable[["RawData", ClusterConfig], AbstractContextManager["Executor"]]


S = TypeVar("S", bound="Summary", covariant=True)


@dataclass(frozen=True, kw_only=True)
class JobResult(Generic[S]):
    """What a job left behind."""

    location: Location
    """The run folder: an absolute path, or a URI."""
    folder: Path
    """The same; or, of a URI, the local copy in which the job worked."""
    summary: S
    """What ``summary.json`` holds."""
    exit_code: int
    """0; 6 if some runs failed or diverged; 130 if interrupted."""
    was_over: bool = False
    """Whether a job that was to be resumed had nothing left to do."""

    def table(self, name: str) -> "pa.Table":
        """Read a table: runs, steps, expansions, matches, sizes or scan."""
        from senn_ray.report import tables

        return tables.read(self.folder, name)


def on_ray(
    raw: "RawData", cluster: ClusterConfig
) -> AbstractContextManager["Executor"]:
    """Make the executor that works on Ray."""
    from senn_ray.cluster_runtime.executor import RayExecutor

    return RayExecutor(raw, cluster)


def in_process(
    raw: "RawData", cluster: ClusterConfig
) -> AbstractContextManager["Executor"]:
    """Make an executor that works in this process, as one worker on Ray would."""
    import torch

    from senn_ray.runs.run import train_run
    from senn_ray.search.executor import LocalExecutor

    def run(spec: RunSpec, on_progress: Callable[[Progress], None]) -> RunRecord:
        threads = torch.get_num_threads()
        torch.set_num_threads(cluster.cpus_per_worker)
        try:
            return train_run(spec, raw, on_progress=on_progress)
        finally:
            torch.set_num_threads(threads)

    return LocalExecutor(run)


def start(
    verb: Verb,
    config: Config,
    out: Location | None,
    *,
    seeds: int = 1,
    observe: Observer | None,
    executor: MakeExecutor | None,
) -> JobResult[Any]:
    """Run a job from its beginning; the arguments are those of the verbs."""
    location = locations.choose(out, config, verb)
    folder = locations.work_folder(location)
    locations.require_writable(location)
    plan, raw = prepare(verb, config, seeds)
    plan = replace(plan, checkpoints=folder / "checkpoints")
    frozen = freezing.freeze(plan, raw)
    with contextlib.ExitStack() as stack:
        with (executor or on_ray)(raw, config.cluster) as ready:
            held = stack.enter_context(locations.holding(location))
            run_folder.create(folder, plan, frozen)
            driver = Driver(
                plan=plan,
                held=held,
                executor=ready,
                observe=observe or ignore,
                data_notes=raw.notes,
            )
            ended = driver.run()
        summary = finish(folder)
    code = ended.exit_code
    return JobResult(location=location, folder=folder, summary=summary, exit_code=code)


def prepare(verb: Verb, config: Config, seeds: int) -> "tuple[Plan, RawData]":
    """Check and settle the settings of a job on its data; nothing is written or started.

    Settings that were given and have no effect are told by ``NoEffectWarning``.

    Args:
        verb: grow, compare or scan.
        config: The settings.
        seeds: Number of runs of ``grow``.
    """
    from senn_ray.analysis.scan import settle
    from senn_ray.data import datasets
    from senn_ray.data.splits import most_per_class, split
    from senn_ray.nets import make

    check_settings(verb, config)
    raw = datasets.load(config.data)
    for note in raw.notes:
        warnings.warn(f"data: {note}", Notice, stacklevel=4)
    make.starting_architecture(config.model, raw.feature_shape, raw.num_outputs)
    most = len(split(raw, config.data).train)
    for note in without_effect(verb, config, most, unread(config.baseline.arms)):
        warnings.warn(note, NoEffectWarning, stacklevel=4)
    if verb == "grow":
        compared = config.compare.model_copy(update={"seeds": seeds})
        config = config.model_copy(update={"compare": compared})
    if verb == "scan":
        sizes = settle(config.scan, most_per_class(raw, config.data))
        config = config.model_copy(update={"scan": sizes})
    return Plan(verb=verb, config=config), raw


@dataclass(frozen=True, kw_only=True, slots=True)
class Continuation:
    """How a job goes on; the fields are arguments of the verb."""

    extend: Sequence[str] = ()
    retry_failed: bool = False
    force: bool = False
    trust: bool = False


def resume(
    run: Location,
    settings: Config | None,
    *,
    how: Continuation,
    observe: Observer | None,
    executor: MakeExecutor | None,
) -> JobResult[Any]:
    """Run a job from where its journal ends; the arguments are those of the verb."""
    from senn_ray.search.resume import outcome

    location = locations.locate(run)
    with locations.opened(location, *DESCRIPTION) as folder:
        trust.require(folder, trust=how.trust)
        run_folder.require_own(folder)
        continued(
            folder, settings, how.extend
        )  # nothing is written, if that is refused
    with locations.holding(location, force=how.force) as held:
        folder = held.folder
        plan, extended = continued(folder, settings, how.extend)
        events = run_folder.events(folder)
        ended = None if extended else outcome(events, retry_failed=how.retry_failed)
        was_over = ended is not None
        if ended is None:
            _require_budget(plan, folder)
            raw = same_data(plan, folder)
            with (executor or on_ray)(raw, plan.config.cluster) as ready:
                if extended:
                    run_folder.amend(folder, plan, freezing.freeze(plan, raw), extended)
                run_folder.set_state(folder, "running")
                driver = Driver(
                    plan=plan,
                    held=held,
                    executor=ready,
                    observe=observe or ignore,
                    extended=extended,
                    retry_failed=how.retry_failed,
                    data_notes=raw.notes,
                )
                ended = driver.run()
        summary = finish(folder)
    return JobResult(
        location=location,
        folder=folder,
        summary=summary,
        exit_code=ended.exit_code,
        was_over=was_over,
    )


def _require_budget(plan: Plan, folder: Path) -> None:
    """Refuse to start runs that the budget does not pay for."""
    from senn_ray.search.ending import Meter

    request = Meter(plan.config.budget, run_folder.timed_events(folder)).exceeded()
    if request is not None:
        raise BudgetError(
            f"{request.detail}; what is finished is in {folder}; go on with: "
            f"senn-ray resume {folder} --extend {EXTEND_BUDGET}"
        )


def continued(
    folder: Path, settings: Config | None, extend: Sequence[str] = ()
) -> tuple[Plan, dict[str, Any]]:
    """Return the plan of a job that goes on, and what ``extend`` makes new in it.

    Settings that are given must agree with those of the job and of ``config.yaml``.
    """
    plan = run_folder.recorded_plan(folder)
    extended = changes.extended(plan.config, extend)
    config, written = plan.config, run_folder.written_config(folder)
    config = changes.with_values(config, extended)
    if written is not None:
        # It may have the extension already, if the driver ended at that moment.
        written = changes.with_values(written, extended)
        config = changes.continued(config, written, source="config.yaml")
    if settings is not None:
        config = changes.continued(config, settings, source="given now")
    return replace(plan, config=config), extended


def same_data(plan: Plan, folder: Path) -> "RawData":
    """Load the data set of a job again.

    Raises:
        DataError: if it is not the one that the job began with.
    """
    from senn_ray.data import datasets

    raw = datasets.load(plan.config.data)
    if run_folder.recorded_sha256(folder) not in {None, freezing.hash_of(raw)}:
        raise DataError(
            f"the data set {plan.config.data.dataset} is not the one that this job "
            "began with (protocol.json has its hash); restore it, or start a new run"
        )
    return raw


def data_in_reach(plan: Plan, folder: Path) -> "RawData | None":
    """Load the data set of a job again; nothing, if it is gone or another one."""
    try:
        return same_data(plan, folder)
    except (SennRayError, OSError, ImportError):
        return None


def finish(folder: Path) -> "Summary":
    """Write summary, tables and page of a run folder from its journal."""
    from senn_ray.analysis.results import to_json
    from senn_ray.analysis.summary import summarise
    from senn_ray.report import page, tables

    events = journal.read(folder)
    alive = live_writer(folder, time.time()) is not None
    summary = summarise(events, alive=alive)
    files.write_json(folder / "summary.json", to_json(summary))
    run_folder.set_state(folder, summary.state)
    tables.write(folder, events, summary)
    page.write(folder, events, summary)
    return summary


def ignore(event: Event) -> None:
    """Ignore an event."""
    del event

"""Assembly: bind data, tasks, search, an executor and a run folder; one call per verb.

Every verb of the command line is a function here. It returns a small object with the
summary, the exit code and, on demand, Arrow tables. Heavy imports are made when they
are needed, so that importing this module loads neither torch nor ray.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from senn_ray import folder as run_folder
from senn_ray import lock
from senn_ray.config import ClusterConfig, Config
from senn_ray.errors import ConfigError, DataError, SennRayError
from senn_ray.events import Event, JobEnded, JobResumed, JobStarted
from senn_ray.search import changes, journal, protocol
from senn_ray.search.plan import Plan, Verb

if TYPE_CHECKING:
    import pyarrow as pa

    from senn_ray.search.executor import Executor
    from senn_ray.training.data import RawData

Observer = Callable[[Event], None]
Check = tuple[str, bool, str]
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


def grow(
    config: Config,
    *,
    out: Path | None = None,
    seeds: int = 1,
    observe: Observer | None = None,
    executor: MakeExecutor | None = None,
) -> JobResult:
    """Train self-expanding networks, each from its own seed.

    Args:
        config: The settings.
        out: The run folder, new or empty (default: a new one under ``output.root``).
        seeds: How many runs.
        observe: Is shown every event while the job runs.
        executor: Makes the executor (default: Ray); ``in_process`` needs no Ray.
    """
    compared = config.compare.model_copy(update={"seeds": seeds})
    config = config.model_copy(update={"compare": compared})
    return _run("grow", config, out, observe=observe, executor=executor)


def compare(
    config: Config,
    *,
    out: Path | None = None,
    observe: Observer | None = None,
    executor: MakeExecutor | None = None,
) -> JobResult:
    """Compare self-expanding runs with arms that choose a fixed size by restarts.

    Args:
        config: The settings.
        out: The run folder, new or empty (default: a new one under ``output.root``).
        observe: Is shown every event while the job runs.
        executor: Makes the executor (default: Ray); ``in_process`` needs no Ray.

    Raises:
        ConfigError: if the network does not have exactly one hidden layer.
    """
    if len(config.model.hidden) != 1:
        raise ConfigError(
            f"compare searches the width of one hidden layer, but model.hidden is "
            f"{list(config.model.hidden)}; type --model.hidden 2"
        )
    return _run("compare", config, out, observe=observe, executor=executor)


def scan(
    config: Config,
    *,
    out: Path | None = None,
    observe: Observer | None = None,
    executor: MakeExecutor | None = None,
) -> JobResult:
    """Grow networks on nested subsets of many sizes: width against examples.

    Args:
        config: The settings.
        out: The run folder, new or empty (default: a new one under ``output.root``).
        observe: Is shown every event while the job runs.
        executor: Makes the executor (default: Ray); ``in_process`` needs no Ray.

    Raises:
        ConfigError: if the settings name one size for all runs, or ask for an oracle
            of other networks than those of one hidden layer.
    """
    if config.data.per_class != "all":
        size = config.data.per_class
        raise ConfigError(
            f"scan chooses data.per_class itself, but it is {size}; type "
            f"--scan.per-class {size},all, and leave data.per_class out"
        )
    if config.scan.oracle and len(config.model.hidden) != 1:
        raise ConfigError(
            f"scan.oracle tries widths of one hidden layer, but model.hidden is "
            f"{list(config.model.hidden)}; type --model.hidden 2"
        )
    return _run("scan", config, out, observe=observe, executor=executor)


def resume(
    folder: Path,
    *,
    settings: Config | None = None,
    observe: Observer | None = None,
    executor: MakeExecutor | None = None,
) -> JobResult:
    """Finish a job whose driver ended early, with the results it would have had.

    Finished runs are kept. Runs that were in flight start again from their seeds; they
    are retries of the infrastructure, not restarts, and count once.

    Args:
        folder: The run folder.
        settings: Settings, of which those that are explicitly set must agree with the
            job's; only where it runs may change.
        observe: Is shown every event while the job runs.
        executor: Makes the executor (default: Ray); ``in_process`` needs no Ray.
    """
    folder = folder.expanduser().absolute()
    plan = _continued(folder, settings)
    with lock.hold(folder) as check:
        ended = _outcome(folder)
        was_over = ended is not None
        if ended is None:
            raw = _same_data(plan, folder)
            with (executor or _on_ray)(raw, plan.config.cluster) as ready:
                run_folder.set_state(folder, "running")
                ended = _coordinate(plan, folder, ready, observe or _ignore, check)
        summary = _finish(folder)
    code = ended.exit_code
    return JobResult(folder=folder, summary=summary, exit_code=code, was_over=was_over)


def status(folder: Path) -> dict[str, Any]:
    """Tell where a job stands, also while another process runs it.

    Args:
        folder: A run folder.

    Returns:
        See ``senn_ray/search/status.py``; and ``run``, the folder.
    """
    from senn_ray.search.status import status

    folder, now = folder.expanduser().absolute(), time.time()
    writer = lock.writer(folder)
    if writer is not None and not writer.is_alive(now):
        writer = None
    found = status(journal.read_timed(folder), now=now if writer else None)
    heart = writer and {
        "pid": writer.pid,
        "host": writer.host,
        "heartbeat_s": max(now - writer.beat_utc_s, 0.0),
    }
    return {"run": str(folder), **found, "writer": heart}


def export(folder: Path, *, pick: str | None = None) -> Path:
    """Write the network of a run as files that need torch only.

    Args:
        folder: A run folder.
        pick: The run (default: the one of median validation loss).

    Returns:
        The folder of the model, ``model/``.
    """
    from senn_ray.search.job import gather
    from senn_ray.search.pick import pick as choose
    from senn_ray.training.export import export

    folder = folder.expanduser().absolute()
    job = gather(journal.read(folder))
    networks = {p.parent.name: p for p in folder.glob("checkpoints/*/final.pt")}
    record = choose(job.records, pick, is_kept=networks.__contains__)
    raw = _same_data(run_folder.recorded_plan(folder), folder)
    export(record, networks[record.run_id], raw, folder / "model")
    return folder / "model"


def report(folder: Path) -> Path:
    """Compute summary, tables and page again, from the journal alone.

    Args:
        folder: A run folder.

    Returns:
        The page, ``report/index.html``.
    """
    _finish(folder)
    return folder / "report" / "index.html"


def submit(address: str, args: Sequence[str], *, working_dir: Path) -> int:
    """Run a verb as a job of a cluster, and show what it prints.

    Args:
        address: Ray's job address, such as ``http://HOST:8265``.
        args: The verb and its flags.
        working_dir: Folder that is sent along.

    Returns:
        The exit code of the verb.
    """
    from senn_ray.cluster_runtime.submit import submit_job

    return submit_job(address, args, working_dir=working_dir)


def doctor(config: Config) -> list[Check]:
    """Check versions, cluster, output folder and data set.

    Args:
        config: The settings.

    Returns:
        For each check its name, whether it is well, and what was found.
    """
    from senn_ray.cluster_runtime.doctor import check_cluster

    return [
        ("versions", True, _versions_line()),
        _try("output", lambda: run_folder.check_writable(config.output.root)),
        _try("data", lambda: _data_line(config)),
        *check_cluster(config.cluster),
    ]


def in_process(
    raw: "RawData", cluster: ClusterConfig
) -> AbstractContextManager["Executor"]:
    """Make an executor that works in this process, without Ray.

    Args:
        raw: The data set.
        cluster: Not used: there is one process.
    """
    from senn_ray.search.executor import LocalExecutor
    from senn_ray.tasks import train_run

    del cluster
    return LocalExecutor(
        lambda spec, on_progress: train_run(spec, raw, on_progress=on_progress)
    )


def _on_ray(
    raw: "RawData", cluster: ClusterConfig
) -> AbstractContextManager["Executor"]:
    from senn_ray.cluster_runtime.executor import RayExecutor

    return RayExecutor(raw, cluster)


def _run(
    verb: Verb,
    config: Config,
    out: Path | None,
    *,
    observe: Observer | None,
    executor: MakeExecutor | None,
) -> JobResult:
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
        summary = _finish(folder)
    return JobResult(folder=folder, summary=summary, exit_code=ended.exit_code)


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


def _same_data(plan: Plan, folder: Path) -> "RawData":
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
    with contextlib.closing(journal.Journal(path, guard=check)) as writer:
        return run_job(
            state,
            first,
            executor=executor,
            journal=writer,
            studies=OptunaStudies(plan, folder / "optuna"),
            observe=observe,
        )


def _finish(folder: Path) -> dict[str, Any]:
    """Write summary, tables and page from the journal; return the summary."""
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


def _try(name: str, check: Callable[[], str]) -> Check:
    try:
        return (name, True, check())
    except SennRayError as error:
        return (name, False, str(error))


def _versions_line() -> str:
    return ", ".join(f"{name} {text}" for name, text in protocol.versions().items())


def _data_line(config: Config) -> str:
    from senn_ray.training import datasets

    return datasets.check(config.data)

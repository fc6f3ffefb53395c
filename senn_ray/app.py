"""The verbs as functions: one call each, with the same meaning as on the command line.

A verb that runs a job returns a small object with the summary, the exit code and, on
demand, Arrow tables. Heavy imports are made when they are needed, so that importing
this module loads neither torch nor ray.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from senn_ray import folder as run_folder
from senn_ray import jobs, lock, stopping
from senn_ray.config import ClusterConfig, Config
from senn_ray.errors import ConfigError, SennRayError
from senn_ray.events import Event
from senn_ray.jobs import JobResult, MakeExecutor, Observer
from senn_ray.search import journal, protocol

if TYPE_CHECKING:
    from senn_ray.search.executor import Executor
    from senn_ray.training.data import RawData

Check = tuple[str, bool, str]


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
    return jobs.start("grow", config, out, observe=observe, executor=executor)


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
    return jobs.start("compare", config, out, observe=observe, executor=executor)


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
    return jobs.start("scan", config, out, observe=observe, executor=executor)


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
    return jobs.resume(folder, settings, observe=observe, executor=executor)


def watch(
    folder: Path,
    *,
    every_s: float = 1.0,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[dict[str, Any], list[Event]]]:
    """Follow a job that another process runs, until nobody works on it any more.

    Args:
        folder: The run folder.
        every_s: Seconds between two looks.
        pause: Waits so long.

    Yields:
        What ``status`` gives, and what has happened since the last look.
    """
    mark, timed = journal.Mark(), list[tuple[float, Event]]()
    while True:
        news, mark = journal.read_on(folder, mark)
        timed += news
        if not timed and _live_writer(folder, time.time()):
            pause(every_s)  # The journal is there, but its first line is not.
            continue
        found = _status(folder, timed)
        yield found, [event for _, event in news]
        if found["state"] != "running":
            return
        pause(every_s)


def stop(folder: Path, *, now: bool = False) -> dict[str, Any]:
    """Ask the process that works on a job to end it, on whatever host it is.

    Args:
        folder: The run folder.
        now: Whether runs in flight are given up; else they finish first.

    Returns:
        What ``status`` gives; and ``asked``, whether there was anybody to ask.
    """
    found = status(folder)
    asked = found["writer"] is not None
    if asked:
        stopping.request(folder, now=now)
    return {**found, "asked": asked}


def status(folder: Path) -> dict[str, Any]:
    """Tell where a job stands, also while another process runs it.

    Args:
        folder: A run folder.

    Returns:
        See ``senn_ray/search/status.py``; and ``run``, the folder.
    """
    return _status(folder, journal.read_timed(folder))


def _status(folder: Path, timed: list[tuple[float, Event]]) -> dict[str, Any]:
    from senn_ray.search.status import status

    folder, now = folder.expanduser().absolute(), time.time()
    writer = _live_writer(folder, now)
    found = status(timed, now=now if writer else None)
    heart = writer and {
        "pid": writer.pid,
        "host": writer.host,
        "heartbeat_s": max(now - writer.beat_utc_s, 0.0),
    }
    return {"run": str(folder), **found, "writer": heart}


def _live_writer(folder: Path, now: float) -> lock.Writer | None:
    writer = lock.writer(folder)
    return writer if writer is not None and writer.is_alive(now) else None


def rerun(
    folder: Path,
    run_id: str,
    *,
    tolerance: float = 0.0,
    settings: Config | None = None,
    observe: Observer | None = None,
    executor: MakeExecutor | None = None,
) -> dict[str, Any]:
    """Carry out one run of a job again, and compare it with its record.

    Args:
        folder: The run folder; nothing is written into it.
        run_id: The run.
        tolerance: Relative difference of numbers that is let pass; 0 asks for equal
            bits, which the same versions on the same kind of processor give.
        settings: Settings, of which those that are explicitly set must agree with the
            job's; only where it runs may change.
        observe: Is shown signs of life, and the new record.
        executor: Makes the executor (default: Ray); ``in_process`` needs no Ray.

    Returns:
        ``run run_id same tolerance differences[{name was now}] hidden val_loss
        checksum wall_s versions_changed{package: [was, now]}``.
    """
    return jobs.rerun(
        folder,
        run_id,
        tolerance=tolerance,
        settings=settings,
        observe=observe,
        executor=executor,
    )


def find_run(name: str, root: Path) -> tuple[Path, str]:
    """Find the folder of a run that somebody names.

    Args:
        name: ``RUN/RUN_ID``, or a run's name alone: then the newest run folder that
            has such a run is meant.
        root: Parent of run folders.

    Returns:
        The run folder and the name of the run.

    Raises:
        ConfigError: if it is not found.
    """
    folder, run_id = Path(name).expanduser().parent, Path(name).name
    if (folder / journal.FILE_NAME).is_file():
        return folder, run_id
    found = [] if "/" in name else [*root.expanduser().glob(f"*/{journal.FILE_NAME}")]
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        if run_folder.has_run(path.parent, run_id):
            return path.parent, run_id
    raise ConfigError(
        f"no run {name} is known; give RUN/RUN_ID, such as {root}/FOLDER/senn-0-000"
    )


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
    raw = jobs.same_data(run_folder.recorded_plan(folder), folder)
    export(record, networks[record.run_id], raw, folder / "model")
    return folder / "model"


def report(folder: Path) -> Path:
    """Compute summary, tables and page again, from the journal alone.

    Args:
        folder: A run folder.

    Returns:
        The page, ``report/index.html``.
    """
    jobs.finish(folder)
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

"""The verbs as functions: one call each, with the same meaning as on the command line.

A verb that runs a job returns a small object with the summary, the exit code and, on
demand, Arrow tables. Heavy imports are made when they are needed, so that importing
this module loads neither torch nor ray.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from senn_ray.config import Config
from senn_ray.core.errors import Notice, SennRayError, from_os
from senn_ray.core.files import replacing
from senn_ray.search import protocol
from senn_ray.search.plan import Verb
from senn_ray.service import jobs
from senn_ray.service import trust as allow
from senn_ray.service.jobs import JobResult, MakeExecutor, Observer, in_process
from senn_ray.service.live import has_begun, status, stop, watch
from senn_ray.service.matching import match
from senn_ray.service.rerun import find_run, rerun
from senn_ray.store import folder as run_folder
from senn_ray.store import journal, locations, lock
from senn_ray.store.locations import Location, choose, locate

if TYPE_CHECKING:
    import pyarrow as pa

    from senn_ray.analysis.results import (
        CompareSummary,
        GrowSummary,
        PickResult,
        ScanSummary,
        Summary,
    )

__all__ = [
    "JobResult",
    "Location",
    "MakeExecutor",
    "Observer",
    "choose",
    "compare",
    "doctor",
    "export",
    "find_run",
    "grow",
    "has_begun",
    "in_process",
    "locate",
    "match",
    "pick",
    "plan",
    "predict",
    "report",
    "report_several",
    "rerun",
    "resume",
    "scan",
    "status",
    "stop",
    "submit",
    "summary",
    "watch",
]

Check = tuple[str, bool, str]


class SizeChoice(TypedDict, total=False):
    """What a size on the front of a run is chosen by."""

    best: bool
    """Take the network of least validation loss."""
    one_se: bool
    """Take the smallest network within one standard error of the best."""
    max_params: int | None
    """Take the best network with at most so many parameters."""
    max_flops: int | None
    """Take the best network with at most so many FLOPs an example."""
    loss_within: float | None
    """Take the smallest network whose validation loss is at most so much above the best."""


def grow(
    config: Config | None = None,
    *,
    dataset: str | None = None,
    out: Location | None = None,
    seeds: int = 1,
    observe: Observer | None = None,
    executor: MakeExecutor | None = None,
) -> "JobResult[GrowSummary]":
    """Train self-expanding networks, each from its own seed.

    Args:
        config: The settings (default: those of ``Config()``).
        dataset: Instead of ``data.dataset``, for a short call.
        out: The run folder, a path or a URI, new or empty (default: a new one under
            ``output.root``).
        seeds: How many runs.
        observe: Is shown every event while the job runs.
        executor: Makes the executor (default: Ray); ``in_process`` needs no Ray.
    """
    settings = _settings(config, dataset)
    return jobs.start(
        "grow", settings, out, seeds=seeds, observe=observe, executor=executor
    )


def compare(
    config: Config | None = None,
    *,
    dataset: str | None = None,
    out: Location | None = None,
    observe: Observer | None = None,
    executor: MakeExecutor | None = None,
) -> "JobResult[CompareSummary]":
    """Compare self-expanding runs with arms that choose a fixed size by restarts.

    Args:
        config: The settings (default: those of ``Config()``).
        dataset: Instead of ``data.dataset``, for a short call.
        out: The run folder, a path or a URI, new or empty (default: a new one under
            ``output.root``).
        observe: Is shown every event while the job runs.
        executor: Makes the executor (default: Ray); ``in_process`` needs no Ray.
    """
    settings = _settings(config, dataset)
    return jobs.start("compare", settings, out, observe=observe, executor=executor)


def scan(
    config: Config | None = None,
    *,
    dataset: str | None = None,
    out: Location | None = None,
    observe: Observer | None = None,
    executor: MakeExecutor | None = None,
) -> "JobResult[ScanSummary]":
    """Grow networks on nested subsets of many sizes: width against examples.

    Args:
        config: The settings (default: those of ``Config()``).
        dataset: Instead of ``data.dataset``, for a short call.
        out: The run folder, a path or a URI, new or empty (default: a new one under
            ``output.root``).
        observe: Is shown every event while the job runs.
        executor: Makes the executor (default: Ray); ``in_process`` needs no Ray.
    """
    settings = _settings(config, dataset)
    return jobs.start("scan", settings, out, observe=observe, executor=executor)


def plan(
    verb: Verb,
    config: Config | None = None,
    *,
    dataset: str | None = None,
    seeds: int | None = None,
    executor: MakeExecutor | None = None,
) -> dict[str, Any]:
    """Tell what a job would do and cost; train a few steps per width to know it.

    Args:
        verb: grow, compare or scan.
        config: The settings (default: those of ``Config()``).
        dataset: Instead of ``data.dataset``, for a short call.
        seeds: Self-expanding runs of ``grow`` (default: one).
        executor: Makes the executor of the short runs (default: this process, or the
            cluster if there is an address, more than one worker per run, or GPUs).

    Returns:
        See ``senn_ray/service/planning.py``.
    """
    from senn_ray.service.planning import plan as look_ahead

    settings = _settings(config, dataset)
    return look_ahead(verb, settings, seeds=seeds, executor=executor)


def resume(  # noqa: PLR0913 - each is a flag of the command line
    run: Location,
    *,
    settings: Config | None = None,
    extend: Sequence[str] = (),
    retry_failed: bool = False,
    force: bool = False,
    trust: bool = False,
    observe: Observer | None = None,
    executor: MakeExecutor | None = None,
) -> "JobResult[Summary]":
    """Finish a job whose driver ended early, with the results it would have had.

    Finished runs are kept. Runs that were in flight start again from their seeds; they
    are retries of the infrastructure, not restarts, and count once.

    Args:
        run: The run folder: a path or a URI.
        settings: Settings, of which those that are explicitly set must agree with the
            job's; only where it runs may change.
        extend: What there is to be more of, each ``key=value``, such as
            ``baseline.max_trials=64``: totals, not increments. Recorded as a deviation,
            under a new protocol.
        retry_failed: Whether runs that failed are done again, with the same seeds.
        force: Whether to take the folder from a driver that may still be alive: that
            one is stopped, and until it notices both train the same runs.
        trust: Whether code that the folder names, a ``factory:`` or an arm of a module,
            may run here.
        observe: Is shown every event while the job runs.
        executor: Makes the executor (default: Ray); ``in_process`` needs no Ray.
    """
    how = jobs.Continuation(
        extend=extend, retry_failed=retry_failed, force=force, trust=trust
    )
    return jobs.resume(run, settings, how=how, observe=observe, executor=executor)


def export(
    run: Location,
    *,
    pick: str | None = None,
    out: Location | None = None,
    trust: bool = False,
    **size: Unpack[SizeChoice],
) -> Location:
    """Write a network of a run as files that need torch only.

    If the data set is within reach, the test loss is measured again on these files.

    Args:
        run: A run folder: a path or a URI.
        pick: The run (default: the one of median validation loss).
        out: Folder of the model, a path or a URI, new or empty (default: ``model/`` of
            the run folder).
        trust: Whether code that the folder names may run here.
        **size: What the size is chosen by (default: the one that the run found).

    Returns:
        The folder of the model.
    """
    from senn_ray.analysis.pick import SizeRule
    from senn_ray.service import picking

    rule = SizeRule(**size)
    return picking.write(run, rule, run_id=pick, out=out, trust=trust).model


def pick(
    run: Location,
    *,
    run_id: str | None = None,
    out: Location | None = None,
    trust: bool = False,
    **size: Unpack[SizeChoice],
) -> "PickResult":
    """Choose a network on the front of a run, and export it.

    Args:
        run: A run folder: a path or a URI.
        run_id: The run (default: the one of median validation loss).
        out: Folder of the model, a path or a URI, new or empty (default: ``model/`` of
            the run folder).
        trust: Whether code that the folder names may run here.
        **size: What the size is chosen by (default: the one that the run found).

    Returns:
        The network, its place on the front, and where the model is.
    """
    from senn_ray.analysis.pick import SizeRule
    from senn_ray.service import picking

    return picking.pick(run, SizeRule(**size), run_id=run_id, out=out, trust=trust)


def predict(model: Location, data: str, *, out: Path | None = None) -> "pa.Table":
    """Predict the rows of a table with the network of a run.

    Levels of categories that the training data lacked are told by ``Notice``.

    Args:
        model: A folder that ``export`` wrote; or a run folder, a path or a URI, whose
            model is exported first if that has not been done.
        data: ``csv:``, ``parquet:``, ``arrow:`` or ``imagefolder:`` and a path.
        out: A file for the predictions as well: CSV, or Parquet by its ending.

    Returns:
        A row for each row: ``prediction``, and of classes ``probability_…`` of each.
    """
    import pyarrow as pa

    from senn_ray.data.sources import open_rows
    from senn_ray.export.predict import Model

    settings = Config().data
    table = open_rows(data, settings)
    folder = Path(str(model)).expanduser()
    if (folder / "inputs.json").exists():
        loaded = Model(folder)
    else:
        if not (folder / "model" / "inputs.json").exists():
            export(model)
        with locations.opened(model, "model/") as inside:
            loaded = Model(inside / "model")
    for text in loaded.unseen(table):
        warnings.warn(f"{data}: {text}", Notice, stacklevel=2)
    predictions = pa.table(loaded.predict(table))
    if out is not None:
        _write_table(predictions, out)
    return predictions


def _write_table(table: "pa.Table", path: Path) -> None:
    """Write a table, as a whole or not at all."""
    import pyarrow.csv
    import pyarrow.parquet

    packed = path.suffix in {".parquet", ".pq"}
    write = pyarrow.parquet.write_table if packed else pyarrow.csv.write_csv
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            write(table, str(partial))
    except OSError as error:
        raise from_os(error, f"cannot write {path}", "give another --out") from error


def report(run: Location, *, trust: bool = False) -> Location:
    """Compute summary, tables and page again, from the journal alone.

    Args:
        run: A run folder: a path or a URI.
        trust: Whether code that the folder names may run here.

    Returns:
        The page, ``report/index.html``.
    """
    with locations.opened(run, *jobs.DESCRIPTION, lock.FILE_NAME, send=True) as folder:
        allow.require(folder, trust=trust)
        run_folder.require_own(folder)
        jobs.finish(folder)
    return locations.below(locations.locate(run), "report/index.html")


def report_several(
    runs: Sequence[Location], *, out: Location | None = None, trust: bool = False
) -> Location:
    """Write one page about several jobs, from their journals.

    Args:
        runs: Run folders: paths or URIs.
        out: The folder of the page, new or empty (default: a new one under ``runs``).
        trust: Whether code that the folders name may run here.

    Returns:
        The page, ``index.html``.
    """
    from senn_ray.analysis.summary import summarise
    from senn_ray.report import several
    from senn_ray.report.view import Shown

    target = locations.choose(out, Config(), "report")
    found = []
    for run in runs:
        with locations.opened(run) as folder:
            allow.require(folder, trust=trust)
            found.append(summarise(journal.read(folder)))
    names = several.names_of([str(locations.locate(run)) for run in runs])
    shown = [
        Shown(name=name, summary=summary)
        for name, summary in zip(names, found, strict=True)
    ]
    with locations.opened(target, send=True) as folder:
        several.write(shown, folder)
    return locations.below(target, "index.html")


def summary(run: Location) -> "Summary":
    """Read the summary of a run folder.

    Args:
        run: A run folder: a path or a URI.
    """
    from senn_ray.analysis.results import from_json

    with locations.opened(run, "summary.json") as folder:
        return from_json((folder / "summary.json").read_bytes(), source=str(run))


def submit(
    address: str,
    args: Sequence[str],
    *,
    environment: Mapping[str, str] = MappingProxyType({}),
    working_dir: Path,
) -> int:
    """Run a verb as a job of a cluster, and show what it prints.

    Args:
        address: Ray's job address, such as ``http://HOST:8265``.
        args: The verb and its flags.
        environment: Variables that the job gets, such as settings by their names.
        working_dir: Folder that is sent along.

    Returns:
        The exit code of the verb.
    """
    from senn_ray.cluster_runtime.submit import submit_job

    return submit_job(address, args, environment=environment, working_dir=working_dir)


def doctor(config: Config | None = None) -> list[Check]:
    """Check versions, cluster, output folder and data set.

    Args:
        config: The settings (default: those of ``Config()``).

    Returns:
        For each check its name, whether it is well, and what was found.
    """
    from senn_ray.cluster_runtime.doctor import check_cluster

    config = config or Config()
    return [
        ("versions", True, _versions_line()),
        _try("output", lambda: locations.check_writable(config.output.root)),
        _try("data", lambda: _data_line(config)),
        *check_cluster(config.cluster),
    ]


def _settings(config: Config | None, dataset: str | None) -> Config:
    config = config or Config()
    if dataset is None:
        return config
    data = config.data.model_copy(update={"dataset": dataset})
    return config.model_copy(update={"data": data})


def _try(name: str, check: Callable[[], str]) -> Check:
    try:
        return (name, True, check())
    except SennRayError as error:
        return (name, False, str(error))


def _versions_line() -> str:
    return ", ".join(f"{name} {text}" for name, text in protocol.versions().items())


def _data_line(config: Config) -> str:
    from senn_ray.data import datasets

    return datasets.check(config.data)

"""Reruns: carry out one run of a job again, and compare it with its record."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from senn_ray.config import Config
from senn_ray.core.errors import ConfigError
from senn_ray.core.events import JobStarted, RunFinished
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.search import protocol
from senn_ray.search import rerun as rules
from senn_ray.service import jobs
from senn_ray.service import trust as allow
from senn_ray.store import folder as run_folder
from senn_ray.store import journal, locations
from senn_ray.store.locations import Location

if TYPE_CHECKING:
    from senn_ray.search.executor import Executor


def rerun(  # noqa: PLR0913 - each is a flag of the command line
    run: Location,
    run_id: str,
    *,
    tolerance: float = 0.0,
    trust: bool = False,
    settings: Config | None = None,
    observe: jobs.Observer | None = None,
    executor: jobs.MakeExecutor | None = None,
) -> dict[str, Any]:
    """Carry out one run of a job again, and compare the records.

    Args:
        run: The run folder, a path or a URI; nothing is written into it.
        run_id: The run.
        tolerance: Relative difference of numbers that is let pass; 0 asks for equal
            bits, which the same versions on the same kind of processor give.
        trust: Whether code that the folder names may run here.
        settings: Settings, of which those that are explicitly set must agree with the
            job's; only where it runs may change.
        observe: Is shown signs of life, and the new record.
        executor: Makes the executor (default: Ray); ``in_process`` needs no Ray.

    Returns:
        ``run run_id same tolerance differences[{name was now}] hidden val_loss
        checksum wall_s versions_changed{package: [was, now]}``.
    """
    with locations.opened(run, "config.yaml", "protocol.json") as folder:
        allow.require(folder, trust=trust)
        spec, record = rules.recorded(journal.read(folder), run_id)
        plan, _ = jobs.continued(folder, settings)
        raw = jobs.same_data(plan, folder)
        changed = _versions_changed(folder)
    with (executor or jobs.on_ray)(raw, plan.config.cluster) as ready:
        again = _carry_out(spec, ready, observe or jobs.ignore)
    found = rules.differences(record, again, tolerance=tolerance)
    return {
        "run": str(locations.locate(run)),
        "run_id": run_id,
        "same": not found,
        "tolerance": tolerance,
        "differences": found,
        "hidden": list(again.hidden),
        "val_loss": again.val_loss,
        "checksum": again.checksum,
        "wall_s": again.wall_s,
        "versions_changed": changed,
    }


def _carry_out(
    spec: RunSpec, executor: "Executor", observe: jobs.Observer
) -> RunRecord:
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


def find_run(name: str, root: Location) -> tuple[Location, str]:
    """Find the folder of a run by its name.

    Args:
        name: ``RUN/RUN_ID``, or a run's name alone: then the newest run folder that
            has such a run is meant.
        root: Parent of run folders; a far one is not searched.

    Returns:
        The run folder and the name of the run.

    Raises:
        ConfigError: if it is not found.
    """
    parent, _, run_id = name.rpartition("/")
    folder, root = locations.locate(parent or "."), locations.locate(root)
    if not isinstance(folder, Path) or (folder / journal.FILE_NAME).is_file():
        return folder, run_id
    near = root if isinstance(root, Path) and not parent else None
    found = near.glob(f"*/{journal.FILE_NAME}") if near else []
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        if run_folder.has_run(path.parent, run_id):
            return path.parent, run_id
    raise ConfigError(
        f"no run {name} is known; give RUN/RUN_ID, such as {root}/FOLDER/senn-0-000"
    )

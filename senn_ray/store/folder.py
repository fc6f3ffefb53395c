"""The run folder: where a job keeps all it has (design, contract 5)."""

import platform
import time
from pathlib import Path
from typing import Any, get_args

import yaml

from senn_ray.config import Config, without_removed
from senn_ray.core import files
from senn_ray.core.errors import ConfigError, DataError, from_os
from senn_ray.core.events import Event, JobStarted, RunFinished
from senn_ray.core.names import inside
from senn_ray.core.versions import versions
from senn_ray.search.changes import config_of
from senn_ray.search.plan import Plan, Verb
from senn_ray.search.protocol import SCHEMA_VERSION
from senn_ray.store import journal


def create(folder: Path, plan: Plan, protocol: dict[str, Any]) -> None:
    """Make the folder, with settings, the frozen protocol and a manifest.

    Raises:
        ConfigError: if the folder cannot be written, or another job has begun in it.
    """
    if (folder / journal.FILE_NAME).exists():
        raise ConfigError(f"--out {folder} is not empty; give a new or empty folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config = plan.config.model_dump(mode="json")
        files.write_text(
            folder / "config.yaml", yaml.safe_dump(config, sort_keys=False)
        )
    except OSError as error:
        raise from_os(error, f"cannot write {folder}", "give another --out") from error
    files.write_json(folder / "protocol.json", protocol)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "verb": plan.verb,
        "state": "running",
        "protocol_id": protocol["protocol_id"],
        "created_utc_s": time.time(),
        "host": platform.node(),
        "platform": platform.platform(),
        "versions": versions(),
    }
    files.write_json(folder / "manifest.json", manifest)


def amend(
    folder: Path, plan: Plan, protocol: dict[str, Any], more: dict[str, Any]
) -> None:
    """Write the settings and the protocol of a job that was extended.

    The protocol so far is kept beside it, under its identifier.
    """
    old = files.read_json(folder / "protocol.json")
    if old:
        name = f"protocol-{old['protocol_id']}.json"
        files.write_json(inside(folder, name), old)
    deviation = {
        "utc_s": time.time(),
        "after_protocol_id": old.get("protocol_id"),
        "finished_runs": sum(isinstance(e, RunFinished) for e in events(folder)),
        "extended": more,
    }
    said = [*old.get("deviations", []), deviation]
    files.write_json(folder / "protocol.json", {**protocol, "deviations": said})
    config = plan.config.model_dump(mode="json")
    files.write_text(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))


def require_own(folder: Path) -> None:
    """Refuse a run folder in which a link leads elsewhere: what is written stays there."""
    if folder.is_dir():
        runs = folder / "checkpoints"
        kept = [f"checkpoints/{path.name}" for path in runs.glob("*")]
        for name in [*(path.name for path in folder.iterdir()), *kept]:
            inside(folder, name)


def events(folder: Path) -> list[Event]:
    """Read the journal of a run folder; nothing, if it has not begun."""
    return [event for _, event in timed_events(folder)]


def timed_events(folder: Path) -> list[tuple[float, Event]]:
    """Read the journal of a run folder with its times; nothing, if it has not begun."""
    path = folder / journal.FILE_NAME
    return journal.read_timed(path) if path.exists() else []


def protocol_id(folder: Path) -> str:
    """Return the identifier of the protocol that holds now."""
    return files.read_json(folder / "protocol.json").get("protocol_id", "")


def has_run(folder: Path, run_id: str) -> bool:
    """Tell whether a run of that name has finished in a run folder."""
    finished = [e.record for e in events(folder) if isinstance(e, RunFinished)]
    return any(record.run_id == run_id for record in finished)


def recorded_plan(folder: Path) -> Plan:
    """Return the plan of the job that a run folder, an absolute path, belongs to.

    Raises:
        DataError: if nothing tells what the job was.
    """
    checkpoints = folder / "checkpoints"
    began = next(iter(events(folder)), None)
    if isinstance(began, JobStarted):
        config = config_of(events(folder))
        return Plan(verb=_verb(began.verb), config=config, checkpoints=checkpoints)
    # The driver ended before its first event: nothing has run yet.
    protocol, config = files.read_json(folder / "protocol.json"), written_config(folder)
    if not protocol or config is None:
        raise DataError(
            f"{folder}: no journal here; give the folder of a run that has begun"
        )
    return Plan(verb=_verb(protocol["verb"]), config=config, checkpoints=checkpoints)


def written_config(folder: Path) -> Config | None:
    """Read ``config.yaml``, which may have been edited; or nothing.

    Raises:
        ConfigError: if it holds no valid settings.
    """
    path = folder / "config.yaml"
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Config.model_validate(without_removed(written))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{path} does not hold the settings of this run any more; restore it, or "
            f"delete it ({' '.join(str(error).split())[:200]})"
        ) from error


def recorded_sha256(folder: Path) -> str | None:
    """Return the hash of the data set, as the protocol has it; or nothing."""
    return files.read_json(folder / "protocol.json").get("data", {}).get("sha256")


def set_state(folder: Path, state: str) -> None:
    """Write the state of the job into its manifest, if there is one."""
    path = folder / "manifest.json"
    if path.is_file():
        files.write_json(path, {**files.read_json(path), "state": state})


def _verb(text: str) -> Verb:
    for verb in get_args(Verb):
        if verb == text:
            return verb
    raise DataError(f"this version of senn-ray does not know the verb {text!r}")

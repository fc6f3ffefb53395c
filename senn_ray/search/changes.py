"""Changed settings: a job goes on with those it began with.

Earlier runs came from the old settings, so "best of k" over both would mean nothing.
Settings that only say where things are or how many runs go side by side may change.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from senn_ray.config import Config
from senn_ray.core.errors import ConfigError
from senn_ray.core.events import Event, JobResumed, JobStarted, RunFinished

FREE = frozenset({
    "cluster.address",
    "cluster.max_parallel_runs",
    "cluster.wait_for_workers_s",
    "data.root",
    "output.root",
})

# What asks for more of the same: earlier runs are the beginning of the longer job.
EXTENSIBLE = (
    "baseline.max_trials",
    "baseline.until_hits",
    "baseline.studies",
    "baseline.trials_per_study",
    "baseline.repeats",
    "budget.device_hours",
    "budget.wall_hours",
    "compare.retrain_seeds",
    "compare.seeds",
    "scan.subset_seeds",
)
UNLIMITED = "none"


def config_of(events: Sequence[Event]) -> Config:
    """Return the settings of a job, with all extensions.

    Args:
        events: What ``journal.read`` gave, with the beginning of the job.
    """
    started = next(event for event in events if isinstance(event, JobStarted))
    config = Config.model_validate(started.config)
    for event in events:
        if isinstance(event, JobResumed):
            config = with_values(config, event.extended)
    return config


def extended(config: Config, words: Sequence[str]) -> dict[str, Any]:
    """Read what is to be extended.

    Args:
        config: The settings of the job.
        words: Each ``key=value``.

    Returns:
        The new values by key; those that are as before are left out.

    Raises:
        ConfigError: if a key cannot be extended, or a value is not larger.
    """
    old = dict(_flat(config.model_dump(), ""))
    found: dict[str, Any] = {}
    for word in words:
        key, _, text = word.partition("=")
        key = key.strip().replace("-", "_")
        if key not in EXTENSIBLE:
            raise ConfigError(
                f"--extend {word}: give key=value with one of {', '.join(EXTENSIBLE)}; "
                "with another setting the finished runs could not be compared"
            )
        value = _parsed(config, key, text.strip())
        _require_more(config, key, old[key], value)
        found |= {key: value} if value != old[key] else {}
    return found


def deviations(events: Sequence[Event]) -> list[str]:
    """Say how a job deviates from the protocol that it began with; usually nothing.

    Args:
        events: What ``journal.read`` gave.
    """
    said = list[str]()
    for place, event in enumerate(events):
        if isinstance(event, JobResumed) and event.extended:
            old = dict(_flat(config_of(events[:place]).model_dump(), ""))
            runs = sum(isinstance(e, RunFinished) for e in events[:place])
            named = ", ".join(
                f"{key} from {_text(old[key])} to {_text(value)}"
                for key, value in event.extended.items()
            )
            said.append(
                f"deviation from the protocol: {named}, after {runs} runs had finished "
                f"(protocol {event.protocol_id} from there on)"
            )
    return said


def mixed_versions(events: Sequence[Event]) -> list[str]:
    """Say if finished runs came from unlike versions; usually nothing.

    Args:
        events: What ``journal.read`` gave.
    """
    seen: dict[str, list[str]] = {}
    now: Mapping[str, str] = {}
    for event in events:
        if isinstance(event, JobStarted | JobResumed):
            now = event.versions
        elif isinstance(event, RunFinished):
            for name, version in now.items():
                known = seen.setdefault(name, [])
                known += [] if version in known else [version]
    mixed = [f"{name} {', '.join(v)}" for name, v in seen.items() if len(v) > 1]
    if not mixed:
        return []
    return [f"runs of mixed versions ({'; '.join(mixed)}): they may not be comparable"]


def _parsed(config: Config, key: str, text: str) -> Any:
    section, _, name = key.partition(".")
    values = config.model_dump()
    values[section][name] = None if text == UNLIMITED else text
    try:
        return getattr(getattr(Config.model_validate(values), section), name)
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Input ").partition(", unable")[0]
        raise ConfigError(f"--extend {key} = {text!r}: {why}") from error


def _require_more(config: Config, key: str, old: Any, new: Any) -> None:
    if old is None and new is not None:
        raise ConfigError(
            f"--extend {key}: it has no limit, so there is nothing to add"
        )
    if new is not None and new < old:
        raise ConfigError(
            f"--extend {key}: it was {_text(old)}, and can only be raised; got {new}"
        )
    if key == "scan.subset_seeds" and config.scan.oracle:
        raise ConfigError(
            "--extend scan.subset_seeds: the runs of scan.oracle are numbered by it; "
            "start a new run with another --out"
        )


def continued(began: Config, given: Config, *, source: str) -> Config:
    """Merge settings that are given for a resumed job into those it began with.

    Returns:
        The settings of the job, with those that are free to change.

    Raises:
        ConfigError: if others differ; the message shows all differences.
    """
    old = dict(_flat(began.model_dump(), ""))
    explicit = dict(_flat(given.model_dump(exclude_unset=True), ""))
    changed = {k: value for k, value in explicit.items() if old[k] != value}
    refused = [
        f"{key} was {_text(old[key])}, now {_text(value)}"
        for key, value in changed.items()
        if key not in FREE
    ]
    if refused:
        raise ConfigError(
            f"{'; '.join(refused)} ({source}): the finished runs came from the old "
            "setting, so they could not be compared; resume unchanged, or start a new "
            "run with another --out"
        )
    return with_values(began, changed)


def _flat(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def with_values(config: Config, changed: Mapping[str, Any]) -> Config:
    """Return settings with some of them changed.

    Args:
        config: The settings.
        changed: New values by key, ``section.name``.
    """
    for key, value in changed.items():
        section, _, name = key.partition(".")
        part = getattr(config, section).model_copy(update={name: value})
        config = config.model_copy(update={section: part})
    return config


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

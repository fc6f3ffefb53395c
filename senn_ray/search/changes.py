"""Changed settings: a job goes on with those it began with.

Earlier runs came from the old settings, so "best of k" over both would mean nothing.
Settings that only say where things are or how many runs go side by side may change.
"""

from collections.abc import Iterator
from typing import Any

from senn_ray.config import Config
from senn_ray.errors import ConfigError

FREE = frozenset({
    "cluster.address",
    "cluster.max_parallel_runs",
    "data.root",
    "output.root",
})


def continued(began: Config, given: Config, *, source: str) -> Config:
    """Merge settings that are given for a resumed job into those it began with.

    Args:
        began: The settings of the job.
        given: Settings, of which only those count that were explicitly set.
        source: Where these come from, for the message.

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
    return _with(began, changed)


def _flat(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _with(config: Config, changed: dict[str, Any]) -> Config:
    for key, value in changed.items():
        section, _, name = key.partition(".")
        part = getattr(config, section).model_copy(update={name: value})
        config = config.model_copy(update={section: part})
    return config


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

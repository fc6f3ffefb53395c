"""A first file of settings: every key, with its default and what it means."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml

from senn_ray.cli.common import NO_FLAGS, Common, people
from senn_ray.config import Config, Section
from senn_ray.core.errors import ConfigError, from_os

FILE_NAME = "senn.yaml"
Preset = Literal["digits", "mnist", "mnist-scan", "parquet"]
PRESETS: dict[Preset, dict[str, Any]] = {
    "digits": {"data.dataset": "digits"},
    "mnist": {"data.dataset": "mnist", "data.per_class": 1000},
    "mnist-scan": {
        "data.dataset": "mnist",
        "scan.per_class": [10, 30, 100, 300, 1000, 3000, "all"],
        "scan.subset_seeds": 3,
    },
    "parquet": {"data.dataset": "parquet:URI", "compare.seeds": 5},
}
VERBS = {"mnist-scan": "scan"}


def init(
    folder: Path = Path(),
    /,
    *,
    preset: Preset = "digits",
    common: Common = NO_FLAGS,
) -> int:
    """Write senn.yaml: all settings with what they mean, to be changed.

    Args:
        folder: Where; it is made if need be.
        preset: Settings to begin with.
        common: Flags of every verb.

    Raises:
        ConfigError: if the file is there already, or cannot be written.
    """
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write("\n".join(commented(PRESETS[preset])) + "\n")
    except FileExistsError as error:
        raise ConfigError(f"{path} is there already; give another folder") from error
    except OSError as error:
        raise from_os(error, f"cannot write {path}", "give another folder") from error
    command = f"senn-ray {VERBS.get(preset, 'compare')} -c {path}"
    if common.json:
        print(json.dumps({"file": str(path), "command": command}))
    people(common).print(f"wrote {path}; try: {command}", soft_wrap=True)
    return 0


def commented(values: dict[str, Any]) -> list[str]:
    """Write settings as lines of YAML; those left at their defaults are comments."""
    head = ["# Settings of senn-ray. Lines that begin with # are the defaults.", ""]
    return [*head, *_section(Config, "", values)]


def _section(
    model: type[Section], prefix: str, values: dict[str, Any]
) -> Iterator[str]:
    indent = "  " if prefix else ""
    for name, field in model.model_fields.items():
        kind, key = field.annotation, prefix + name
        if isinstance(kind, type) and issubclass(kind, Section):
            yield f"{name}:  # {' '.join((kind.__doc__ or '').split())}"
            yield from _section(kind, f"{name}.", values)
            yield ""
        else:
            given = key in values
            default = field.get_default(call_default_factory=True)
            value = values[key] if given else default
            text = _yaml(list(value) if isinstance(value, tuple) else value)
            if field.description:
                yield f"{indent}# {field.description}"
            yield f"{indent}{'' if given else '# '}{name}: {text}"


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return text.removesuffix("\n").removesuffix("\n...")

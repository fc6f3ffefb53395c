"""Settings from files and the environment, and their errors as one line.

Precedence: flags, then the environment, then files (later ones first), then defaults.
Flags are parsed by cyclopts; this module adds the layers below them. Those of cyclopts
would leave out sections that are named like a verb (``scan``, ``compare``), pass over
variables with a misspelt name, and call every variable ``env`` in messages.
"""

import difflib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic
import yaml
from cyclopts import App, ArgumentCollection, Token

from senn_ray.config import REMOVED, Config, Section
from senn_ray.core.errors import ConfigError, from_os

ENV_PREFIX = "SENN_RAY_"
TRUTHS = frozenset({"true", "false", "yes", "no", "1", "0"})
HELP = "senn-ray config schema lists all keys"
ABSENT = {
    "norm": "there is no normalisation over a batch: an addition would change the "
    "function; features are standardised",
    "pool": "pooling is not a choice: 2x2 means between the stages of model.channels, "
    "the mean over positions at the end",
}
"""What people may look for in ``model``, by a part of its name, and why it is not there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """A value that was set somewhere below the command line."""

    value: Any
    source: str
    """File or environment variable, for messages."""


Settings = dict[str, Setting]
"""From ``section.key`` to what was set there."""


def known_keys() -> dict[str, Any]:
    """Return every key, as ``section.key``, with the type of its values."""
    return dict(_keys(Config, ""))


def _keys(model: type[Section], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, kind


def holds_tuple(kind: Any) -> bool:
    """Tell whether values of a type are lists of things."""
    return typing.get_origin(kind) is tuple


def read_layers(files: list[Path], environment: Mapping[str, str]) -> Settings:
    """Merge files, later ones over earlier ones, and the environment over them."""
    merged: Settings = {}
    for file in files:
        merged |= _read_file(file)
    merged |= _read_environment(environment)
    # An empty value in YAML means the default.
    return {key: entry for key, entry in merged.items() if entry.value is not None}


def _read_file(file: Path) -> Settings:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise from_os(
            error, f"--config {file} cannot be read", "give another file"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"--config {file} is not valid YAML: {reason}") from error
    if values is not None and not isinstance(values, dict):
        raise ConfigError(
            f"--config {file} must hold sections such as data:, not a list"
        )
    known = known_keys()
    settings = {}
    for key, value in _flatten(values or {}, "", known):
        if value is None and is_section(key):
            continue  # All keys below it are comments.
        if key not in known:
            raise ConfigError(f"{file}: {unknown_key(key)}")
        settings[key] = Setting(value=value, source=str(file))
    return settings


def _flatten(
    values: dict[Any, Any], prefix: str, known: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        key = prefix + str(name).replace("-", "_")
        if isinstance(value, dict) and key not in known:
            yield from _flatten(value, f"{key}.", known)
        else:
            yield key, value


def _read_environment(environment: Mapping[str, str]) -> Settings:
    known, settings = known_keys(), {}
    sections = {key.partition(".")[0].upper() for key in known if "." in key}
    names, removed = (
        {
            ENV_PREFIX + key.upper().replace(".", separator): key
            for key in keys
            for separator in ("_", "__")
        }
        for keys in (known, REMOVED)
    )
    for name, text in sorted(environment.items()):
        rest = name.removeprefix(ENV_PREFIX)
        key = names.get(name)
        if key is not None:
            items = text.split(",") if text else []
            value = items if holds_tuple(known[key]) else text
            settings[key] = Setting(value=value, source=name)
        elif key := removed.get(name):
            raise ConfigError(f"{name}: {unknown_key(key)}")
        elif rest != name and "_" in rest and rest.partition("_")[0] in sections:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise ConfigError(f"{name} is not a setting.{hint} ({HELP})")
    return settings


def as_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that set the same; ``read_layers`` reads them."""
    return {
        ENV_PREFIX + key.upper().replace(".", "_"): ",".join(map(_text, entry.value))
        if isinstance(entry.value, list | tuple)
        else _text(entry.value)
        for key, entry in settings.items()
    }


def is_section(key: str) -> bool:
    """Tell whether there are keys below a name."""
    return any(other.startswith(f"{key}.") for other in known_keys())


def unknown_key(key: str) -> str:
    """Say that a key does not exist, with the nearest one that does."""
    known = known_keys()
    if is_section(key):
        return f"{key} is a section; it needs keys below it ({HELP})"
    if why := why_absent(key):
        return why
    close = difflib.get_close_matches(key, known, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"{key} is not a setting.{hint} ({HELP})"


def why_absent(key: str) -> str | None:
    """Say why there is no such setting (any more), if that is known."""
    if (removed := key.replace("-", "_")) in REMOVED:
        return f"{removed} is gone: {REMOVED[removed]}"
    section, _, name = key.partition(".")
    found = (why for part, why in ABSENT.items() if part in name)
    why = next(found, None) if section == "model" else None
    return why and f"{key} is not a setting: {why}"


@dataclass(frozen=True, slots=True)
class Layer:
    """A configuration source for cyclopts: fills what no flag has set."""

    settings: Settings

    def __call__(
        self, _app: App, _commands: tuple[str, ...], arguments: ArgumentCollection
    ) -> None:
        """Add tokens to the arguments of a verb that takes these settings."""
        for key, entry in self.settings.items():
            try:
                argument, _, _ = arguments.match(f"--{key}")
            except ValueError:
                continue  # The verb takes no settings.
            if argument.tokens:
                continue
            for token in _tokens(key, entry):
                argument.append(token)


def _tokens(key: str, entry: Setting) -> list[Token]:
    listed = isinstance(entry.value, list | tuple)
    if not (listed and holds_tuple(known_keys()[key])):
        return [Token(keyword=key, value=_text(entry.value), source=entry.source)]
    if not entry.value:
        return [Token(keyword=key, implicit_value=(), source=entry.source)]
    return [
        Token(keyword=key, value=_text(item), source=entry.source, index=i)
        for i, item in enumerate(entry.value)
    ]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def expand_flags(tokens: list[str]) -> list[str]:
    """Rewrite lists and truth values as cyclopts wants them.

    ``--model.hidden 4,8`` becomes ``--model.hidden=4 --model.hidden=8``, and
    ``--growth.enabled false`` becomes ``--growth.enabled=false``.
    """
    kinds = {f"--{key}": kind for key, kind in known_keys().items()}
    result: list[str] = []
    rest = list(tokens)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        kind = kinds.get(flag.replace("-", "_").replace("__", "--", 1))
        if kind is bool or holds_tuple(kind):
            # What follows a truth value's flag may be an argument of the verb.
            takes = kind is not bool or (rest and rest[0].lower() in TRUTHS)
            if not equals and rest and takes and not rest[0].startswith("--"):
                equals, value = "=", rest.pop(0)
            items = value.split(",") if holds_tuple(kind) else [value]
            result += [f"{flag}={item}" for item in items] if equals else [flag]
        else:
            result.append(flag + equals + value)
    return result


def explain(error: pydantic.ValidationError, settings: Settings) -> str:
    """Turn the errors of a model into one line: key, value, where from, what is wrong."""
    first = error.errors()[0]
    if first["type"] in ("model_type", "model_attributes_type"):
        section = ".".join(str(part) for part in first["loc"])
        one = next(key for key in known_keys() if key.startswith(f"{section}."))
        return f"{section} is a section; it needs keys below it, such as {one}"
    key, where = _place(first["loc"])
    others = [e for e in error.errors() if _place(e["loc"])[0] == key]
    reasons = " or ".join(dict.fromkeys(_reason(e["msg"]) for e in others))
    if first["type"] == "value_error":
        return reasons
    source = f" (from {settings[key].source})" if key in settings else ""
    return f"{key}{where} = {first['input']}{source}: {reasons}"


def _place(location: tuple[int | str, ...]) -> tuple[str, str]:
    """Split a location into the key it belongs to and the place inside its value."""
    known = known_keys()
    words = [str(part) for part in location]
    for length in range(len(words), 0, -1):
        key = ".".join(words[:length])
        if key in known:
            places = [p for p in location[length:] if isinstance(p, int)]
            return key, "".join(f"[{p}]" for p in places)
    return ".".join(words), ""


def _reason(message: str) -> str:
    text = message.removeprefix("Value error, ").removeprefix("Input ")
    return text.partition(", unable to parse")[0]

"""A function of the user's that returns the data.

``factory:package.module:function`` names a function without arguments. A file of that name
in the working directory goes before a module of the same name that is installed. What goes
wrong in it is told in one line, with the line of the user's.
"""

import contextlib
import importlib
import importlib.util
import linecache
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from senn_ray.core.errors import ConfigError, DataError, SennRayError

OURS = str(Path(__file__).parents[1])


def call(reference: str) -> Any:
    """Import a factory and return what it returns.

    Args:
        reference: ``package.module:function``, importable here or in the working
            directory; a function that fails is a ``DataError``.

    Raises:
        ConfigError: if there is no such function, or its module cannot be imported.
    """
    name = f"factory:{reference}"
    module_name, _, attribute = reference.partition(":")
    with _users_code(name, ConfigError):
        module = _import(module_name)
    function = getattr(module, attribute or "-", None)
    if not callable(function):
        raise ConfigError(
            f"data.dataset {name} cannot be imported: {module_name} "
            f"({getattr(module, '__file__', None) or 'built in'}) has no function "
            f"{attribute!r}; use factory:package.module:function"
        )
    with _users_code(name, DataError):
        return function()


@contextlib.contextmanager
def _users_code(name: str, kind: type[SennRayError]) -> Iterator[None]:
    """Turn whatever the user's code raises into one line that shows the user's line."""
    try:
        yield
    except (SennRayError, KeyboardInterrupt):
        raise
    except (ImportError, ValueError) as error:
        where = users_line(error)
        if kind is ConfigError and not where:
            raise ConfigError(
                f"data.dataset {name} cannot be imported ({error}); use "
                "factory:package.module:function"
            ) from error
        raise kind(f"{name} failed: {_said(error)}{where}") from error
    except (
        BaseException
    ) as error:  # Also SystemExit, of a script that parses its words.
        raise kind(f"{name} failed: {_said(error)}{users_line(error)}") from error


def _said(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg}"
    text = " ".join(str(error).split())
    kind = type(error).__name__
    return f"{kind}: {text}" if text else kind


def users_line(error: BaseException) -> str:
    """Show file, number and text of the last line of the user's that an error went through."""
    if isinstance(error, SyntaxError) and error.filename:
        text = (error.text or "").strip()
        return f" ({error.filename}, line {error.lineno}: {text})"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if _is_users(frame.filename)
    ]
    if not frames:
        return ""
    last = frames[-1]
    return f" ({last.filename}, line {last.lineno}: {last.line})"


def _is_users(file: str) -> bool:
    library = "site-packages" in file or file.startswith((sys.base_prefix, "<"))
    return not library and not file.startswith(OURS)


def _import(module_name: str) -> ModuleType:
    here = Path.cwd()
    # A console script does not have the working directory on its path; users expect it.
    if str(here) not in sys.path:
        sys.path.append(str(here))
    if not module_name:
        raise ConfigError("factory: needs package.module:function")
    file = here.joinpath(*module_name.split(".")).with_suffix(".py")
    known = sys.modules.get(module_name)
    if not file.is_file() or getattr(known, "__file__", None) == str(file):
        return importlib.import_module(module_name)
    spec = importlib.util.find_spec(module_name) if known is None else None
    if spec is not None and spec.origin == str(file):
        return importlib.import_module(module_name)
    # A module of that name exists elsewhere, and others may need it: it keeps its name.
    linecache.checkcache(str(file))
    private = importlib.util.spec_from_file_location(f"_users_{file.stem}", file)
    if private is None or private.loader is None:
        return importlib.import_module(module_name)
    module = importlib.util.module_from_spec(private)
    private.loader.exec_module(module)
    return module

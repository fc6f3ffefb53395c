"""The command line: from words to a verb, and from errors to one line and a code.

Nothing here loads torch or ray; the verbs do, when they are called.
"""

import importlib.metadata
import os
import select
import sys
import traceback
import warnings
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydantic
from cyclopts import App, CycloptsError
from cyclopts.exceptions import UnknownOptionError, UnusedCliTokensError

from senn_ray.cli import begin, folders, picking, studies, verbs
from senn_ray.cli.settings import (
    Layer,
    Settings,
    expand_flags,
    explain,
    is_section,
    read_layers,
    unknown_key,
    why_absent,
)
from senn_ray.config.effects import NoEffectWarning
from senn_ray.core.errors import Notice, SennRayError, from_os

USAGE = 2
_show_warning = warnings.showwarning
INTERNAL = 1
INTERRUPTED = 130
READER_GONE = 128 + 13
"""As of a program that SIGPIPE has ended."""
EPILOGUE = (
    "Every setting is a flag --section.key, an environment variable "
    "SENN_RAY_SECTION_KEY and a key of a YAML file (-c FILE); flags come first, then "
    "the environment, then files. All keys: senn-ray config schema."
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a verb and leave with its exit code.

    Args:
        argv: Words of the command line, without the program's name.
    """
    try:
        code = run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as error:
        # ``| head`` has seen enough; rich makes a SystemExit of that.
        if not isinstance(error, BrokenPipeError) and not isinstance(
            error.__context__, BrokenPipeError
        ):
            raise
        # What is left in a buffer would be an error again when Python ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BrokenPipeError:
                os.dup2(nowhere, stream.fileno())
        code = READER_GONE
    sys.exit(code)


def run(argv: list[str]) -> int:
    """Run a verb and return its exit code; say errors on stderr, in one line.

    Args:
        argv: Words of the command line, without the program's name.
    """
    ours, theirs = _cut(argv)
    files, debug = _peek(ours)
    warnings.simplefilter("always", NoEffectWarning)
    warnings.simplefilter("once", Notice)
    warnings.showwarning = _note
    settings: Settings = {}
    try:
        settings = read_layers(files, os.environ)
        tokens = [*expand_flags(ours), *theirs]
        return int(build(settings)(tokens, exit_on_error=False, print_error=False) or 0)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED, debug=debug)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_gone():
            raise  # It is no connection that broke.
        message, code = _explain(error, settings)
        return _fail(message, code, debug=debug)


def _reader_gone() -> bool:
    """Tell whether stdout or stderr is a pipe without a reader."""
    outputs = select.poll()
    for number in (1, 2):
        outputs.register(number, 0)  # A broken pipe is told unasked.
    return any(what & (select.POLLERR | select.POLLHUP) for _, what in outputs.poll(0))


def _explain(error: Exception, settings: Settings) -> tuple[str, int]:
    """Say an error in one line, with its exit code."""
    match error:
        case CycloptsError():
            return _usage_message(error, settings), USAGE
        case SennRayError():
            return str(error), error.exit_code
        case OSError() if type(found := from_os(error)) is not SennRayError:
            return str(found), found.exit_code
        case _:
            what = f"{type(error).__name__}: {error}"
            return f"internal error: {what} (add --debug for the traceback)", INTERNAL


def build(settings: Settings) -> App:
    """Assemble the verbs.

    Args:
        settings: What files and the environment have set.
    """
    app = App(
        name="senn-ray",
        help="Self-expanding neural networks: find the size of a network by growing it.",
        help_epilogue=EPILOGUE,
        help_format="plaintext",
        version=lambda: importlib.metadata.version("senn-ray"),
        config=Layer(settings),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    jobs: tuple[Callable[..., int], ...] = (
        verbs.grow,
        verbs.compare,
        verbs.scan,
        verbs.plan,
        studies.match,
        folders.resume,
        folders.status,
        folders.watch,
        folders.stop,
        folders.report,
        picking.pick,
        picking.export,
        folders.predict,
        folders.rerun,
        verbs.submit,
        verbs.doctor,
        begin.init,
        folders.dashboard,
    )
    for verb in jobs:
        app.command(verb)
    config = App(name="config", help="Show the settings or their schema.")
    config.command(verbs.show)
    config.command(verbs.schema)
    app.command(config)
    return app


def _cut(argv: list[str]) -> tuple[list[str], list[str]]:
    """Split at ``--``: what follows is for the verb that ``submit`` sends away."""
    if "--" not in argv:
        return argv, []
    place = argv.index("--")
    return argv[:place], argv[place:]


def _peek(argv: list[str]) -> tuple[list[Path], bool]:
    """Find the files of settings, which must be read before flags make sense."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append", default=[], type=Path)
    parser.add_argument("--debug", action="store_true")
    # A flag at the end without its value is left for cyclopts to report.
    complete = argv[:-1] if argv[-1:] in (["-c"], ["--config"]) else argv
    found, _ = parser.parse_known_args(complete)
    return found.config, found.debug


def _usage_message(error: CycloptsError, settings: Settings) -> str:
    cause = error.__cause__
    if isinstance(cause, pydantic.ValidationError):
        return explain(cause, settings)
    if isinstance(error, UnusedCliTokensError):
        words = " ".join(error.unused_tokens or ())
        return (
            f"unexpected {words!r}; a list is one word with commas, such as 4,8, and a "
            "truth value is true or false"
        )
    if isinstance(error, UnknownOptionError):
        option = (error.token.keyword or "").removeprefix("--")
        if why := why_absent(option):
            return why
        # A section alone is no answer: of `--compare.arms`, `--compare` would be next.
        nearest = str(error).rpartition("Did you mean --")[2].removesuffix("?")
        if is_section(nearest):
            return unknown_key(option.replace("-", "_"))
    return str(error)


def _note(message: Warning | str, kind: type[Warning], *where: Any) -> None:
    """Say what should be known in one line; other warnings as Python does."""
    if issubclass(kind, NoEffectWarning | Notice):
        print(f"senn-ray: note: {message}", file=sys.stderr)
    else:
        _show_warning(message, kind, *where)


def _fail(message: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"senn-ray: {' '.join(message.split())}", file=sys.stderr)
    return code

"""What all verbs share: their flags, consoles, and how a job is run and shown."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from senn_ray.config import Config
from senn_ray.core.events import Event, JobResumed, JobStarted

if TYPE_CHECKING:
    from senn_ray.analysis.results import Summary
    from senn_ray.cli.console import Observe
    from senn_ray.service.verbs import Location, MakeExecutor

BUDGET = 5
SOME_RUNS_FAILED = 6
MORE = "budget.device_hours=HOURS (or budget.wall_hours) goes on"
INTERRUPTED = 130
STARTING = "starting workers ..."
PIPED_WIDTH = 120


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Common:
    """Flags of every verb."""

    config: Annotated[tuple[Path, ...], Parameter(alias="-c", negative=())] = ()
    """YAML file of settings; may be repeated, later files win"""
    json: Annotated[bool, Parameter(negative=())] = False
    """print one JSON object on stdout, and text for people on stderr"""
    quiet: Annotated[bool, Parameter(negative=())] = False
    """print no progress"""
    debug: Annotated[bool, Parameter(negative=())] = False
    """print tracebacks of errors"""


AllSettings = Annotated[Config, Parameter(name="*")]
DEFAULTS = Config()
NO_FLAGS = Common()


def run_job(
    verb: Callable[..., Any], settings: Config, out: "Location", common: Common
) -> int:
    """Run a job with its progress shown; then show the result, and return the exit code.

    ``verb`` takes the settings, the run folder, an observer and what makes the executor.
    """
    try:
        with shown(common, folder=out) as (observe, executor):
            result = verb(settings, out=out, observe=observe, executor=executor)
    except KeyboardInterrupt:
        from senn_ray.service import verbs

        if verbs.has_begun(out):
            return _interrupted(out)
        _say("interrupted before the job began: nothing to resume; start it again")
        return INTERRUPTED
    show_result(result.summary, f"{out}/report/index.html", common)
    if result.exit_code == BUDGET:
        _say(f"{result.summary.budget}; senn-ray resume {out} --extend {MORE}")
    elif result.exit_code == INTERRUPTED:
        return _interrupted(out)
    return result.exit_code


@contextlib.contextmanager
def shown(
    common: Common, folder: "Location | None" = None
) -> Iterator[tuple["Observe", "MakeExecutor"]]:
    """Show what happens in a ``with`` block, as the flags have it.

    What is refused first is said alone: the workers and the folder of a new job are named
    when there are any.

    Yields:
        An observer of events, and what makes the executor on Ray.
    """
    from senn_ray.cli.console import Patience, watching
    from senn_ray.service import jobs

    console = people(common)
    patience: Patience

    def say(line: str) -> None:
        if not common.quiet:
            console.print(line, soft_wrap=True)

    def observe(event: Event) -> None:
        if folder is not None and isinstance(event, JobStarted | JobResumed):
            say(f"run folder {folder}")
        patience(event)

    def executor(*needs: Any) -> Any:
        say(STARTING)  # Ray takes seconds.
        return jobs.on_ray(*needs)

    # Whatever libraries print must not get between the reader and the JSON object.
    guard = contextlib.redirect_stdout(sys.stderr) if common.json else None
    with (
        guard or contextlib.nullcontext(),
        watching(console, quiet=common.quiet) as show,
    ):
        patience = Patience(show, _say)
        try:
            yield observe, executor
        finally:
            patience.end()


def _interrupted(out: "Location") -> int:
    _say(f"interrupted; what is finished is in {out}: senn-ray resume {out} goes on")
    return INTERRUPTED


def _say(line: str) -> None:
    print(f"senn-ray: {line}", file=sys.stderr)


def people(common: Common) -> Console:
    """Return the console for text that people read: stderr where stdout is for JSON."""
    console = Console(stderr=common.json, highlight=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console


def show_result(summary: "Summary", page: "Location", common: Common) -> None:
    """Show what came out of a job, and where its page is."""
    from senn_ray.analysis.results import to_json
    from senn_ray.cli.verdict import result

    if common.json:
        print(json.dumps(to_json(summary)))
    console = people(common)
    for part in result(summary):
        console.print(part)
    console.print(f"report {page}", soft_wrap=True)

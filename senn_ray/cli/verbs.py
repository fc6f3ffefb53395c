"""The verbs: each binds the command line to one function of ``senn_ray.app``."""

import contextlib
import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from cyclopts import Parameter
from rich.console import Console

from senn_ray.config import Config
from senn_ray.errors import ConfigError

INTERRUPTED = 130
RESOURCES = 3
PIPED_WIDTH = 120
EXIT_OF_CHECK = {"output": 2, "data": 4}
"""Exit code if a check of ``doctor`` fails; of all others: resources."""


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


def grow(
    *,
    settings: AllSettings = DEFAULTS,
    out: Path | None = None,
    seeds: int = 1,
    common: Common = NO_FLAGS,
) -> int:
    """Train a network that grows to the size its data needs.

    Args:
        settings: All settings.
        out: Run folder; must be empty or new (default: below output.root).
        seeds: Number of runs, with seeds counted up from --seed.
        common: Flags of every verb.

    Raises:
        ConfigError: if there would be no run at all.
    """
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, got {seeds}")
    from senn_ray import app

    folder = app.run_folder.choose(out, settings, "grow")
    return _do(functools.partial(app.grow, seeds=seeds), settings, folder, common)


def compare(
    *,
    settings: AllSettings = DEFAULTS,
    out: Path | None = None,
    common: Common = NO_FLAGS,
) -> int:
    """Compare growing networks with a search over fixed sizes.

    Args:
        settings: All settings.
        out: Run folder; must be empty or new (default: below output.root).
        common: Flags of every verb.
    """
    from senn_ray import app

    folder = app.run_folder.choose(out, settings, "compare")
    return _do(app.compare, settings, folder, common)


def scan(
    *,
    settings: AllSettings = DEFAULTS,
    out: Path | None = None,
    common: Common = NO_FLAGS,
) -> int:
    """Grow networks on subsets of many sizes: hidden units against examples.

    Args:
        settings: All settings.
        out: Run folder; must be empty or new (default: below output.root).
        common: Flags of every verb.
    """
    from senn_ray import app

    folder = app.run_folder.choose(out, settings, "scan")
    return _do(app.scan, settings, folder, common)


def resume(
    run: Path,
    /,
    *,
    settings: AllSettings = DEFAULTS,
    common: Common = NO_FLAGS,
) -> int:
    """Finish a job that was interrupted or killed, from its run folder.

    Args:
        run: Run folder.
        settings: Settings are those of the job; others are refused, but where it runs
            (cluster.address, cluster.max_parallel_runs, data.root) may change.
        common: Flags of every verb.
    """
    from senn_ray import app

    def go_on(given: Config, *, out: Path, observe: app.Observer) -> app.JobResult:
        result = app.resume(out, settings=given, observe=observe)
        if result.was_over:
            _console(common).print("this job was over already: nothing was run")
        return result

    return _do(go_on, settings, run.expanduser().absolute(), common)


def status(run: Path, /, *, common: Common = NO_FLAGS) -> int:
    """Show where a job stands, from any shell, while it runs or afterwards.

    Args:
        run: Run folder.
        common: Flags of every verb.
    """
    from senn_ray import app
    from senn_ray.cli.overview import overview

    found = app.status(run)
    if common.json:
        print(json.dumps(found))
    else:
        for part in overview(found):
            _console(common).print(part, soft_wrap=isinstance(part, str))
    return 0


def report(run: Path, /, *, common: Common = NO_FLAGS) -> int:
    """Rebuild the summary, tables and page of a run folder from its journal.

    Args:
        run: Run folder.
        common: Flags of every verb.
    """
    from senn_ray import app

    page = app.report(run)
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    _show_result(summary, page, common)
    return 0


def export(run: Path, /, *, pick: str | None = None, common: Common = NO_FLAGS) -> int:
    """Write a network as a model folder that needs torch only.

    Args:
        run: Run folder.
        pick: Run whose network is taken (default: the one of median validation loss,
            on the most examples).
        common: Flags of every verb.
    """
    from senn_ray import app

    model = app.export(run, pick=pick)
    if common.json:
        print(json.dumps({"model": str(model)}))
    else:
        _console(common).print(f"model {model}", soft_wrap=True)
        _console(common).print(
            f"how to use it {model / 'MODEL_CARD.md'}", soft_wrap=True
        )
    return 0


def submit(
    *verb: str,
    address: str,
    working_dir: Path = Path(),
    common: Common = NO_FLAGS,
) -> int:
    """Run a verb on a cluster: senn-ray submit --address URL -- VERB ...

    Args:
        verb: The verb and its flags, after --.
        address: Ray's job address, such as http://HOST:8265.
        working_dir: Folder that is sent along.
        common: Flags of every verb.

    Raises:
        ConfigError: if there is no verb to run.
    """
    del common
    if not verb:
        raise ConfigError(
            "submit needs a verb: senn-ray submit --address URL -- compare ..."
        )
    from senn_ray import app

    return app.submit(address, list(verb), working_dir=working_dir)


def doctor(*, settings: AllSettings = DEFAULTS, common: Common = NO_FLAGS) -> int:
    """Check versions, the cluster, the output folder and the data set.

    Args:
        settings: All settings.
        common: Flags of every verb.
    """
    from senn_ray import app
    from senn_ray.cli.verdict import checks_table

    checks = app.doctor(settings)
    if common.json:
        names = ("check", "ok", "detail")
        print(json.dumps([dict(zip(names, check, strict=True)) for check in checks]))
    else:
        _console(common).print(checks_table(checks))
    failed = [name for name, ok, _ in checks if not ok]
    return EXIT_OF_CHECK.get(failed[0], RESOURCES) if failed else 0


def show(*, settings: AllSettings = DEFAULTS, common: Common = NO_FLAGS) -> int:
    """Print all settings as they result from files, environment and flags.

    Args:
        settings: All settings.
        common: Flags of every verb.
    """
    values = settings.model_dump(mode="json")
    if common.json:
        print(json.dumps(values))
    else:
        print(yaml.safe_dump(values, sort_keys=False), end="")
    return 0


def schema(*, common: Common = NO_FLAGS) -> int:
    """Print the JSON schema of all settings, for editors and for reading.

    Args:
        common: Flags of every verb.
    """
    del common
    print(json.dumps(Config.model_json_schema(), indent=2))
    return 0


def _do(verb: Callable[..., Any], settings: Config, out: Path, common: Common) -> int:
    """Run a job with its progress shown; then show the result."""
    from senn_ray.cli.console import watching

    people = _console(common)
    # Whatever libraries print must not get between the reader and the JSON object.
    guard = contextlib.redirect_stdout(sys.stderr) if common.json else None
    try:
        with guard or contextlib.nullcontext():
            if not common.quiet:
                people.print(f"run folder {out}", soft_wrap=True)
                people.print("loading data and starting workers ...")
            with watching(people, quiet=common.quiet) as observe:
                result = verb(settings, out=out, observe=observe)
    except KeyboardInterrupt:
        return _interrupted(out)
    _show_result(result.summary, out / "report" / "index.html", common)
    return _interrupted(out) if result.exit_code == INTERRUPTED else result.exit_code


def _interrupted(out: Path) -> int:
    line = f"interrupted; what is finished is in {out}: senn-ray resume {out} goes on"
    print(f"senn-ray: {line}", file=sys.stderr)
    return INTERRUPTED


def _console(common: Common) -> Console:
    console = Console(stderr=common.json, highlight=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console


def _show_result(summary: dict[str, Any], page: Path, common: Common) -> None:
    from senn_ray.cli.verdict import result

    if common.json:
        print(json.dumps(summary))
    people = _console(common)
    for part in result(summary):
        people.print(part)
    if page.exists():
        people.print(f"report {page}", soft_wrap=True)

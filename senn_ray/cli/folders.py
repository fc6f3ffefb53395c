"""The verbs on a run folder: look, stop, go on, repeat, report, predict."""

import csv
import functools
import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from senn_ray.cli.asking import asking
from senn_ray.cli.common import (
    DEFAULTS,
    INTERRUPTED,
    NO_FLAGS,
    SOME_RUNS_FAILED,
    AllSettings,
    Common,
    people,
    run_job,
    show_result,
    shown,
)
from senn_ray.config import Config
from senn_ray.core.errors import ConfigError, DataError

Trust = Annotated[bool, Parameter(negative=())]


def resume(  # noqa: PLR0913 - flags
    run: str,
    /,
    *,
    extend: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    retry_failed: Annotated[bool, Parameter(negative=())] = False,
    force: Annotated[bool, Parameter(negative=())] = False,
    trust: Trust = False,
    settings: AllSettings = DEFAULTS,
    common: Common = NO_FLAGS,
) -> int:
    """Finish a job that was interrupted or killed, from its run folder.

    Args:
        run: Run folder: a path or a URI.
        extend: More of something, as key=value (a total), such as
            baseline.max_trials=64; may be repeated; recorded as a deviation.
        retry_failed: Do runs that failed again, with the same seeds.
        force: Take the folder at once from a driver that may still be alive. If it is,
            it is stopped, and what both do until it notices is done twice.
        trust: Run code that the folder names (factory:..., arms of a module) unasked.
        settings: Settings are those of the job; others are refused, but where it runs
            (cluster.address, cluster.max_parallel_runs, data.root) may change.
        common: Flags of every verb.
    """
    from senn_ray.service import verbs

    def go_on(
        given: Config,
        *,
        out: verbs.Location,
        observe: verbs.Observer,
        executor: verbs.MakeExecutor,
    ) -> verbs.JobResult[Any]:
        result = verbs.resume(
            out,
            settings=given,
            extend=extend,
            retry_failed=retry_failed,
            force=force,
            trust=may,
            observe=observe,
            executor=executor,
        )
        if result.was_over:
            people(common).print("this job was over already: nothing was run")
        return result

    def go(*, trust: bool) -> int:
        nonlocal may
        may = trust
        return run_job(go_on, settings, verbs.locate(run), common)

    may = trust
    return asking(go, trust=trust)


def status(run: str, /, *, common: Common = NO_FLAGS) -> int:
    """Show where a job stands, from any shell, while it runs or afterwards.

    Args:
        run: Run folder: a path or a URI.
        common: Flags of every verb.
    """
    from senn_ray.cli.overview import overview
    from senn_ray.service import verbs

    found = verbs.status(run)
    if common.json:
        print(json.dumps(found.to_json()))
    else:
        for part in overview(found):
            people(common).print(part, soft_wrap=isinstance(part, str))
    return 0


def watch(run: str, /, *, common: Common = NO_FLAGS) -> int:
    """Follow a job from any shell until it ends, with its exit code.

    Args:
        run: Run folder: a path or a URI.
        common: Flags of every verb.
    """
    from senn_ray.cli.overview import follow
    from senn_ray.service import verbs

    found = follow(verbs.watch(run), people(common), quiet=common.quiet)
    if common.json:
        print(json.dumps(found.to_json()))
    return INTERRUPTED if found.exit_code is None else found.exit_code


def stop(run: str, /, *, now: bool = False, common: Common = NO_FLAGS) -> int:
    """Let a job end early, from any shell or host; resume goes on with it.

    Args:
        run: Run folder: a path or a URI.
        now: End runs in flight too, instead of waiting until they have finished.
        common: Flags of every verb.
    """
    from senn_ray.cli.overview import stopping
    from senn_ray.service import verbs

    found = verbs.stop(run, now=now)
    if common.json:
        print(json.dumps(found.to_json()))
    else:
        people(common).print(stopping(found, now=now), soft_wrap=True)
    return 0


def rerun(
    run: str,
    /,
    *,
    tolerance: float = 0.0,
    trust: Trust = False,
    settings: AllSettings = DEFAULTS,
    common: Common = NO_FLAGS,
) -> int:
    """Carry out one run again and compare it with its record: exit code 0 or 6.

    Args:
        run: RUN/RUN_ID, or the RUN_ID of a run in the newest folder of output.root.
        tolerance: Relative difference of numbers that is let pass (default: equal bits).
        trust: Run code that the folder names (factory:..., arms of a module) unasked.
        settings: Settings are those of the job; where it runs may change.
        common: Flags of every verb.
    """
    from senn_ray.cli.overview import repeated
    from senn_ray.service import verbs

    folder, run_id = verbs.find_run(run, settings.output.root)

    def again(*, trust: bool) -> dict[str, Any]:
        with shown(common) as (observe, executor):
            return verbs.rerun(
                folder,
                run_id,
                tolerance=tolerance,
                trust=trust,
                settings=settings,
                observe=observe,
                executor=executor,
            )

    found = asking(again, trust=trust)
    if common.json:
        print(json.dumps(found))
    people(common).print(repeated(found), soft_wrap=True)
    return 0 if found["same"] else SOME_RUNS_FAILED


def report(
    run: str,
    /,
    *more: str,
    out: str | None = None,
    trust: Trust = False,
    common: Common = NO_FLAGS,
) -> int:
    """Rebuild the summary, tables and page of a run folder from its journal.

    Args:
        run: Run folder: a path or a URI.
        more: Other run folders: then one page shows all of them side by side.
        out: Folder of the page of several runs; must be empty or new.
        trust: Run code that the folder names (factory:..., arms of a module) unasked.
        common: Flags of every verb.

    Raises:
        ConfigError: if a folder is given for the page of one run, which has its own.
    """
    from senn_ray.service import verbs

    if more:
        several = functools.partial(verbs.report_several, [run, *more], out=out)
        page = asking(several, trust=trust)
        if common.json:
            print(json.dumps({"report": str(page)}))
        people(common).print(f"report {page}", soft_wrap=True)
        return 0
    if out is not None:
        raise ConfigError("--out is for the page of several runs; give more than one")
    page = asking(functools.partial(verbs.report, run), trust=trust)
    show_result(verbs.summary(run), page, common)
    return 0


def predict(
    model: str,
    /,
    *,
    data: str,
    out: Path | None = None,
    common: Common = NO_FLAGS,
) -> int:
    """Predict the rows of a table with an exported network, in the labels of its data.

    Args:
        model: Model folder that export wrote, or a run folder.
        data: Rows to predict: csv:FILE, parquet:URI, arrow:FILE or imagefolder:FOLDER,
            with the columns of the training data.
        out: File for the predictions: CSV, or Parquet by its ending (default: print
            CSV).
        common: Flags of every verb.
    """
    from senn_ray.service import verbs

    table = verbs.predict(model, data, out=out)
    if common.json:
        told = {"rows": table.num_rows, "columns": table.column_names}
        print(json.dumps({**told, "out": out and str(out)}))
    elif out is None:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(table.column_names)
        writer.writerows(zip(*table.to_pydict().values(), strict=True))
    else:
        line = f"{table.num_rows} predictions {out}"
        people(common).print(line, soft_wrap=True)
    return 0


def dashboard(run: str, /, *, common: Common = NO_FLAGS) -> int:
    """Print how to look at the Optuna studies of a run folder in optuna-dashboard.

    Args:
        run: Run folder.
        common: Flags of every verb.

    Raises:
        DataError: if there are none.
    """
    studies = sorted(Path(run).expanduser().glob("optuna/*.log"))
    if not studies:
        raise DataError(
            f"{run}: no Optuna studies here; comparisons with a tpe arm have them"
        )
    commands = [f"optuna-dashboard {path}" for path in studies]
    if common.json:
        print(json.dumps({"commands": commands}))
    else:
        lines = ["pip install optuna-dashboard, then one of:", *commands]
        for line in lines:
            people(common).print(line, soft_wrap=True, markup=False)
    return 0

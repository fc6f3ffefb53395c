"""The verbs on settings: start a job, plan one, check what it needs, show the settings."""

import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from rich.console import RenderableType

from senn_ray.cli.common import (
    DEFAULTS,
    NO_FLAGS,
    AllSettings,
    Common,
    people,
    run_job,
)
from senn_ray.cli.console import table
from senn_ray.config import Config
from senn_ray.core.errors import ConfigError
from senn_ray.report.formatting import duration

RESOURCES = 3
EXIT_OF_CHECK = {"output": 2, "data": 4}
"""Exit code if a check of ``doctor`` fails; of all others: resources."""


def grow(
    *,
    settings: AllSettings = DEFAULTS,
    out: str | None = None,
    seeds: int = 1,
    common: Common = NO_FLAGS,
) -> int:
    """Train a network that grows to the size its data needs.

    Args:
        settings: All settings.
        out: Run folder, a path or a URI; must be empty or new (default: below
            output.root).
        seeds: Number of runs, with seeds counted up from --seed.
        common: Flags of every verb.

    Raises:
        ConfigError: if there would be no run at all.
    """
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, got {seeds}")
    from senn_ray.service import verbs

    folder = verbs.choose(out, settings, "grow")
    return run_job(functools.partial(verbs.grow, seeds=seeds), settings, folder, common)


def compare(
    *,
    settings: AllSettings = DEFAULTS,
    out: str | None = None,
    common: Common = NO_FLAGS,
) -> int:
    """Compare growing networks with a search over fixed sizes.

    Args:
        settings: All settings.
        out: Run folder, a path or a URI; must be empty or new (default: below
            output.root).
        common: Flags of every verb.
    """
    from senn_ray.service import verbs

    folder = verbs.choose(out, settings, "compare")
    return run_job(verbs.compare, settings, folder, common)


def scan(
    *,
    settings: AllSettings = DEFAULTS,
    out: str | None = None,
    common: Common = NO_FLAGS,
) -> int:
    """Grow networks on subsets of many sizes: hidden units against examples.

    Args:
        settings: All settings.
        out: Run folder, a path or a URI; must be empty or new (default: below
            output.root).
        common: Flags of every verb.
    """
    from senn_ray.service import verbs

    folder = verbs.choose(out, settings, "scan")
    return run_job(verbs.scan, settings, folder, common)


def plan(
    verb: Literal["compare", "scan", "grow"] = "compare",
    /,
    *,
    settings: AllSettings = DEFAULTS,
    seeds: int | None = None,
    common: Common = NO_FLAGS,
) -> int:
    """Tell what compare, scan or grow would do and cost; start nothing.

    A few steps are trained at three widths to know what a run costs.

    Args:
        verb: What is planned.
        settings: All settings.
        seeds: Number of runs of grow.
        common: Flags of every verb.

    Raises:
        ConfigError: if a number of runs is given where the settings have it, or none.
    """
    if seeds is not None and (verb != "grow" or seeds < 1):
        raise ConfigError(
            f"--seeds {seeds}: it is the number of runs of grow, at least 1; "
            f"{verb} has compare.seeds or scan.subset_seeds"
        )
    from senn_ray.service import verbs

    found = verbs.plan(verb, settings, seeds=seeds)
    if common.json:
        print(json.dumps(found))
    else:
        for part in _plan_shown(found):
            people(common).print(part)
    return 0


def _plan_shown(found: Mapping[str, Any]) -> list[RenderableType]:
    """Show a plan: what every arm costs, how long it takes, and how to go on."""
    rows = table("arm", "runs", "steps", "device time")
    for arm, row in found["arms"].items():
        most = "" if row["certain"] == row["runs"] else "at most "
        runs, steps = f"{row['runs']:,}", f"{row['steps']:,}"
        name = f"{arm} (winners trained again)" if arm == "confirm" else arm
        rows.add_row(
            name, most + runs, most + steps, f"about {duration(row['device_s'])}"
        )
    measured = ", ".join(str(row["hidden"]) for row in found["calibration"])
    return [
        f"Plan of {found['verb']}, protocol {found['protocol_id']}; measured on a few "
        f"steps at {measured} hidden units ({found['where']})",
        rows,
        f"With {found['capacity']} runs side by side: at most about "
        f"{duration(found['wall_s'])}, if widths that nobody knows yet are in the middle. "
        f"{found['arms']['total']['certain']} runs are certain (--json lists all).",
        f"Nothing was started. Start it with: senn-ray {found['verb']} ...",
    ]


def submit(
    *verb: str,
    address: str,
    working_dir: Path = Path(),
    common: Common = NO_FLAGS,
) -> int:
    """Run a verb on a cluster: senn-ray submit --address URL -- VERB ...

    Settings of files (-c FILE) and of SENN_RAY_ variables are sent along.

    Args:
        verb: The verb and its flags, after --.
        address: Ray's job address, such as http://HOST:8265.
        working_dir: Folder that is sent along.
        common: Flags of every verb.

    Raises:
        ConfigError: if there is no verb to run.
    """
    if not verb:
        raise ConfigError(
            "submit needs a verb: senn-ray submit --address URL -- compare ..."
        )
    from senn_ray.cli.settings import as_environment, read_layers
    from senn_ray.service import verbs

    below = as_environment(read_layers(list(common.config), os.environ))
    return verbs.submit(address, list(verb), environment=below, working_dir=working_dir)


def doctor(*, settings: AllSettings = DEFAULTS, common: Common = NO_FLAGS) -> int:
    """Check versions, the cluster, the output folder and the data set.

    Args:
        settings: All settings.
        common: Flags of every verb.
    """
    from senn_ray.cli.verdict import checks_table
    from senn_ray.service import verbs

    checks = verbs.doctor(settings)
    if common.json:
        names = ("check", "ok", "detail")
        print(json.dumps([dict(zip(names, check, strict=True)) for check in checks]))
    else:
        people(common).print(checks_table(checks))
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

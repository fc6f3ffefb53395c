"""The verb that looks ahead: what a job would do and cost."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from rich.console import RenderableType
from rich.table import Table

from senn_ray.cli.common import DEFAULTS, NO_FLAGS, AllSettings, Common, people
from senn_ray.core.errors import ConfigError
from senn_ray.report.formatting import duration


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
        for part in shown(found):
            people(common).print(part)
    return 0


def shown(found: Mapping[str, Any]) -> list[RenderableType]:
    """Show a plan: what every arm costs, how long it takes, and how to go on."""
    table = Table(box=None, pad_edge=False)
    for name in ("arm", "runs", "steps", "device time"):
        table.add_column(name, no_wrap=name == "arm")
    for arm, row in found["arms"].items():
        most = "" if row["certain"] == row["runs"] else "at most "
        runs, steps = f"{row['runs']:,}", f"{row['steps']:,}"
        name = f"{arm} (winners trained again)" if arm == "confirm" else arm
        table.add_row(
            name, most + runs, most + steps, f"about {duration(row['device_s'])}"
        )
    measured = ", ".join(str(row["hidden"]) for row in found["calibration"])
    return [
        f"Plan of {found['verb']}, protocol {found['protocol_id']}; measured on a few "
        f"steps at {measured} hidden units ({found['where']})",
        table,
        f"With {found['capacity']} runs side by side: at most about "
        f"{duration(found['wall_s'])}, if widths that nobody knows yet are in the middle. "
        f"{found['arms']['total']['certain']} runs are certain (--json lists all).",
        f"Nothing was started. Start it with: senn-ray {found['verb']} ...",
    ]

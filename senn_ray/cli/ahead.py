"""The verb that looks ahead: what a job would do and cost."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from rich.console import RenderableType
from rich.table import Table

from senn_ray.cli.common import DEFAULTS, NO_FLAGS, AllSettings, Common, people
from senn_ray.core.errors import ConfigError
from senn_ray.report.formatting import UNKNOWN, duration, number

COLUMNS = ("runs", "steps", "sample_visits", "flops")
LEAST_HITS = 1


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
    """Show an outlook: what every arm costs, what the budget buys, and how to go on.

    Args:
        found: What ``verbs.plan`` gave.
    """
    measured = ", ".join(str(row["hidden"]) for row in found["calibration"])
    parts: list[RenderableType] = [
        f"Plan of {found['verb']}, protocol {found['protocol_id']}; measured on a few "
        f"steps at {measured} hidden units ({found['where']})",
        _costs(found["arms"]),
        _times(found),
    ]
    if found["buys"]:
        parts += [
            "What the budget of random and qmc buys, if a hit really takes so many runs:",
            _buys(found["buys"]),
        ]
    parts.append(f"Nothing was started. Start it with: senn-ray {found['verb']} ...")
    return parts


def _costs(arms: Mapping[str, Any]) -> Table:
    table = _table("arm", "runs", "steps", "sample visits", "flops", "device time")
    for arm, row in arms.items():
        counts = (_span(row[name], _count) for name in COLUMNS)
        table.add_row(arm, *counts, _span(row["device_s"], duration))
    return table


def _times(found: Mapping[str, Any]) -> str:
    widths = ", ".join(map(str, found["supposed"]))
    return (
        f"With {found['capacity']} runs side by side: "
        f"{_span(found['parallel_s'], duration)}. From low to high: self-found widths of "
        f"{widths} are supposed; {sum(r['certain'] for r in found['runs'])} runs are "
        f"certain (--json lists all {len(found['runs'])})."
    )


def _buys(rows: list[Mapping[str, Any]]) -> Table:
    table = _table("runs to a hit", "hits", "trials", "95 % interval would be")
    for row in rows:
        top = UNKNOWN if row["high"] is None else _count(row["high"])
        told = f"[{_count(row['low'])}, {top}]"
        if row["hits"] < LEAST_HITS:
            told = f"at least {_count(row['low'])}"
        table.add_row(*(str(row[n]) for n in ("truth", "hits", "trials")), told)
    return table


def _span(values: Mapping[str, float], write: Any) -> str:
    low, middle, high = (write(values[name]) for name in ("low", "expected", "high"))
    return middle if low == high else f"{middle} ({low}\N{EN DASH}{high})"


def _count(value: float) -> str:
    for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            scale = 1e3 if letter == "k" else size
            return f"{value / scale:.3g} {letter}"
    return f"{value:.0f}" if value >= 10 else number(value)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=name == columns[0])
    return table

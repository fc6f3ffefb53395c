"""The verbs that take a network out of a run folder: choose a size, export."""

import dataclasses
import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from senn_ray.cli.asking import asking
from senn_ray.cli.common import NO_FLAGS, Common, people
from senn_ray.cli.console import table
from senn_ray.cli.folders import Trust
from senn_ray.report.fronts import RUNG_COLUMNS, rung_row

if TYPE_CHECKING:
    from senn_ray.analysis.results import PickResult

NEIGHBOURS = 2
"""Networks shown on either side of the one that is chosen."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SizeFlags:
    """What a size is chosen by (default: the one that the run found)."""

    best: Annotated[bool, Parameter(negative=())] = False
    """the network of least validation loss"""
    one_se: Annotated[bool, Parameter(negative=())] = False
    """the smallest network within one standard error of the best"""
    max_params: int | None = None
    """the best network with at most so many parameters"""
    max_flops: int | None = None
    """the best network with at most so many FLOPs an example"""
    loss_within: float | None = None
    """the smallest network whose validation loss is at most so much above the best"""
    out: str | None = None
    """folder of the model, a path or a URI; must be empty or new (default: RUN/model)"""


NO_SIZE = SizeFlags()


def pick(
    folder: str,
    /,
    *,
    run: str | None = None,
    trust: Trust = False,
    size: SizeFlags = NO_SIZE,
    common: Common = NO_FLAGS,
) -> int:
    """Choose a network on the front of a run by a budget, and export it.

    Args:
        folder: Run folder: a path or a URI.
        run: Run whose front is looked at (default: the one of median validation loss,
            on the most examples).
        trust: Run code that the folder names (factory:..., arms of a module) unasked.
        size: What the size is chosen by.
        common: Flags of every verb.
    """
    from senn_ray.service import verbs

    choose = functools.partial(verbs.pick, folder, run_id=run, **_given(size))
    found = asking(choose, trust=trust)
    if common.json:
        print(json.dumps(found.to_json()))
    else:
        people(common).print(Text(_chosen(found)), soft_wrap=True)
        people(common).print(_neighbours(found))
        _show_model(found.model, common)
    return 0


def export(
    run: str,
    /,
    *,
    pick: Annotated[str | None, Parameter(alias="--run")] = None,
    trust: Trust = False,
    size: SizeFlags = NO_SIZE,
    common: Common = NO_FLAGS,
) -> int:
    """Write a network as a model folder that needs torch only.

    Args:
        run: Run folder: a path or a URI.
        pick: Run whose network is taken (default: the one of median validation loss,
            on the most examples).
        trust: Run code that the folder names (factory:..., arms of a module) unasked.
        size: What the size is chosen by.
        common: Flags of every verb.
    """
    from senn_ray.service import verbs

    write = functools.partial(verbs.export, run, pick=pick, **_given(size))
    model = asking(write, trust=trust)
    if common.json:
        print(json.dumps({"model": str(model)}))
    else:
        _show_model(model, common)
    return 0


def _given(size: SizeFlags) -> dict[str, Any]:
    return dataclasses.asdict(size)


def _show_model(model: object, common: Common) -> None:
    people(common).print(f"model {model}", soft_wrap=True)
    people(common).print(f"how to use it {model}/MODEL_CARD.md", soft_wrap=True)


def _chosen(found: "PickResult") -> str:
    """Say which network was chosen, of how many, and by what."""
    first, last = found.front[0], found.front[-1]
    sizes = f"{first.params} to {last.params} parameters"
    return (
        f"{found.run_id} (seed {found.seed}): size {found.place + 1} of "
        f"{len(found.front)} ({sizes}), chosen by: {found.rule}"
    )


def _neighbours(found: "PickResult") -> Table:
    """Show the network with those around it on the front."""
    rows = table("", *RUNG_COLUMNS)
    first = max(0, found.place - NEIGHBOURS)
    for place in range(first, min(len(found.front), found.place + NEIGHBOURS + 1)):
        row = rung_row(found.front[place], place, found.found)
        is_chosen = place == found.place
        rows.add_row("→" if is_chosen else "", *row, style="bold" if is_chosen else "")
    return rows

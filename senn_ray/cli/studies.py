"""The verb on Optuna studies that senn-ray did not make."""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType
from rich.table import Table

from senn_ray.analysis.results import MatchResult, StudyRow
from senn_ray.cli.common import NO_FLAGS, Common, people
from senn_ray.cli.console import table
from senn_ray.core.errors import ConfigError
from senn_ray.report.formatting import UNKNOWN, duration, interval, number

SHOWN = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a study is read."""

    name: str | None = None
    """the only study of the storage to look at"""
    objective: int = 0
    """which value of a trial counts, from 0"""
    independent: Annotated[bool, Parameter(negative=())] = False
    """the trials are independent (random search, not TPE): each one is a search"""


USUAL = Reading()


def match(
    *,
    study: str,
    target: float,
    reading: Reading = USUAL,
    out: Path | None = None,
    common: Common = NO_FLAGS,
) -> int:
    """Tell how many runs any Optuna study needs to reach a target, with intervals.

    Args:
        study: Journal file of Optuna, or a storage URL such as sqlite:///FILE; each of
            its studies is one search.
        target: Value to reach; at most, or at least, as the study has it.
        reading: How the study is read.
        out: Folder for match.json, best-of-k.csv, best-of-k.svg and best-of-k.png.
        common: Flags of every verb.

    Raises:
        ConfigError: if the objective is below 0.
    """
    if reading.objective < 0:
        raise ConfigError(f"--objective {reading.objective}: they are counted from 0")
    from senn_ray.service import verbs

    found = verbs.match(study, target, **dataclasses.asdict(reading), out=out)
    if common.json:
        print(json.dumps(found.to_json()))
    else:
        for part in shown(found):
            people(common).print(part)
        if out is not None:
            people(common).print(f"figure {out / 'best-of-k.svg'}", soft_wrap=True)
    return 0


def shown(found: MatchResult) -> list[RenderableType]:
    """Show studies, runs to the target, and the best of k."""
    return [
        _studies(found.studies),
        _line(found),
        _curve(found),
        *(f"Note: {note}" for note in found.notes),
    ]


def _line(found: MatchResult) -> str:
    least = "at most" if found.direction == "minimize" else "at least"
    seconds = found.seconds_to_target
    parts = [
        f"{found.hits} of {found.searches} searches reached {least} "
        f"{number(found.target)}",
        f"runs to it {interval(found.runs_to_target)}",
        f"median {interval(found.median_runs)}",
    ]
    if seconds and seconds.estimate is not None:
        parts.append(f"time {duration(seconds.estimate)}")
    return "; ".join(parts)


def _studies(studies: Iterable[StudyRow]) -> Table:
    rows = table("study", "trials", "pruned", "failed", "best", "reached it at run")
    for study in studies:
        at = study.runs_to_target
        rows.add_row(
            study.name,
            str(study.trials),
            str(study.pruned),
            str(study.failed),
            number(study.best),
            UNKNOWN if at is None else str(at),
        )
    return rows


def _curve(found: MatchResult) -> Table:
    of = "median" if found.independent else "mean over studies"
    rows = table("runs", "expected best", "median best", f"95 % interval of the {of}")
    for point in found.curve:
        if point.runs in SHOWN or point is found.curve[-1]:
            rows.add_row(
                str(point.runs),
                number(point.val_loss),
                number(point.median),
                f"[{number(point.low)}, {number(point.high)}]",
            )
    return rows

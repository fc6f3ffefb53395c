"""Matching: runs to a target, for any Optuna study; nothing of it is changed."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from senn_ray.core import files
from senn_ray.core.errors import ConfigError, from_os

if TYPE_CHECKING:
    from senn_ray.analysis.results import MatchResult


def match(
    storage: str,
    target: float,
    *,
    name: str | None = None,
    objective: int = 0,
    independent: bool = False,
    out: Path | None = None,
) -> "MatchResult":
    """Tell how many runs any Optuna study needs to reach a target.

    Args:
        storage: The file of a journal storage, or a URL such as ``sqlite:///FILE``.
        target: The value to reach.
        name: The only study to look at (default: all, each one a search).
        objective: Which of the values of a trial counts, from 0.
        independent: Whether the trials are independent (random search): then each one
            is a search.
        out: Folder for ``match.json`` and the figure with its data (default: nowhere).

    Raises:
        ConfigError: if the target is not a finite number.
    """
    if not math.isfinite(target):
        raise ConfigError(
            f"--target {target}: every run reaches it, or none; give a finite number"
        )
    from senn_ray.analysis.match import match as compute
    from senn_ray.search.arms.optuna_studies import read_studies

    studies = read_studies(storage, name)
    given = {"objective": objective, "independent": independent}
    found = compute(studies, target, storage=storage, **given)
    if out is not None:
        _write(out, found)
    return found


def _write(out: Path, found: "MatchResult") -> None:
    from senn_ray.report.match_figure import best_of_k
    from senn_ray.report.page import write_figure

    figure = best_of_k(found)
    try:
        out.mkdir(parents=True, exist_ok=True)
        files.write_json(out / "match.json", found.to_json())
        write_figure(out, figure)
    except OSError as error:
        raise from_os(
            error, f"--out {out} cannot be written", "give another folder"
        ) from error

"""Arms: ways of choosing the size of a network, in one table.

An arm of another package is named ``module:ATTRIBUTE`` in the settings; see
``docs/extending.md``.
"""

import importlib
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from senn_ray.config import BaselineConfig
from senn_ray.config.effects import Unread
from senn_ray.core.errors import ConfigError
from senn_ray.search.arms import fixed, grown, ladders, sampling, studies, wide
from senn_ray.search.arms.arm import Arm, ArmState, Proposer, RunRequest
from senn_ray.search.plan import CONFIRM, CONFIRM_FULL

__all__ = [
    "ARMS",
    "Arm",
    "ArmState",
    "Proposer",
    "RunRequest",
    "find",
    "selectable",
    "unread",
]

_CONFIRMATIONS = [
    Arm(
        name=name,
        rule="",
        next_runs=lambda _: [],  # ``confirm.py`` asks, when all others have ended.
        kind="confirmation",
        opens_test=True,
        width_only=name == CONFIRM,
        settings=frozenset(),
    )
    for name in (CONFIRM, CONFIRM_FULL)
]
# Most urgent first: arms that must wait for their own results would end last.
ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        grown.SENN,
        grown.GRADMAX,
        wide.WIDE_PRUNE,
        wide.WIDE_MAGNITUDE,
        studies.TPE_FULL,
        studies.TPE_PARETO,
        studies.TPE,
        studies.TPE_PRUNER,
        ladders.LADDER_BISECT,
        ladders.LADDER,
        fixed.MAX_ONCE,
        sampling.QMC,
        sampling.RANDOM,
        fixed.NO_GROWTH_AT_FINAL,
        fixed.GRID,
        *_CONFIRMATIONS,
    )
}


def selectable(*, paired: bool = False) -> list[str]:
    """Return the names that ``baseline.arms`` may have; or ``scan.arms``, if paired."""
    return [
        arm.name
        for arm in ARMS.values()
        if arm.kind in {"opponent", "control"} and (arm.paired or not paired)
    ]


@cache
def find(name: str, *, paired: bool = False) -> Arm:
    """Return the arm of a name: one of the table, or one of an importable module.

    Args:
        name: As in the settings.
        paired: Whether messages name paired arms only, as for ``scan.arms``.

    Raises:
        ConfigError: if there is none.
    """
    if name in ARMS:
        return ARMS[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ConfigError(
            f"there is no arm {name}; the arms are "
            f"{', '.join(selectable(paired=paired))}, or module:ATTRIBUTE of your own"
        )
    # A console script does not have the working directory on its path; users expect it.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"the arm {name} cannot be imported ({error}); install its module where "
            "this command runs, or put it into the working directory"
        ) from error
    if not isinstance(found, Arm):
        raise ConfigError(f"{name} is a {type(found).__name__}, not an Arm")
    return replace(found, name=name)


def unread(names: Iterable[str]) -> list[Unread]:
    """List the keys of ``baseline`` that none of these arms reads, for ``compare``."""
    arms = [find(name) for name in names]
    rows = list[Unread]()
    for key in BaselineConfig.model_fields:
        readers = [arm.name for arm in ARMS.values() if key in (arm.settings or ())]
        # An arm that does not say what it reads may read this.
        if readers and all(
            a.settings is not None and key not in a.settings for a in arms
        ):
            why = f"read by {', '.join(readers)}, and baseline.arms has none of them"
            rows.append(
                Unread((f"baseline.{key}",), why, lambda verb, _: verb == "compare")
            )
    return rows

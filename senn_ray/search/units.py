"""Units: runs that differ only in their seed, handed to one worker together.

The rule: a unit is no larger than one worker's share of the runs that are waiting, and
than ``cluster.batch_seeds``. With more workers than runs, every run goes alone, because
side by side is sooner than together; with more runs than workers nobody waits for a
unit, and a unit takes less of a worker's time than its runs one after the other.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from senn_ray.core.records import RunSpec

T = TypeVar("T")


def form(
    waiting: Sequence[T],
    *,
    free: int,
    workers: int,
    most: int,
    cell_of: Callable[[T], object | None],
) -> list[list[T]]:
    """Choose what starts now, most urgent first.

    Args:
        waiting: Runs that are justified and have not started, most urgent first.
        free: Workers without work.
        workers: All workers.
        most: The most runs of a unit.
        cell_of: Tells what the runs of a unit have in common; nothing for a run that
            goes alone.

    Returns:
        Units, at most ``free``, of at least one run each.
    """
    share = min(most, math.ceil(len(waiting) / workers))
    left = [(one, cell_of(one) if share > 1 else None) for one in waiting]
    units = list[list[T]]()
    while left and len(units) < free:
        first = left[0][1]
        alike = [n for n, (_, other) in enumerate(left) if other == first]
        mates = [0] if first is None else alike[:share]
        units.append([left[n][0] for n in mates])
        left = [pair for n, pair in enumerate(left) if n not in mates]
    return units


def cell(spec: RunSpec) -> RunSpec | None:
    """Return what a run has in common with those it may be trained with.

    Args:
        spec: A run.

    Returns:
        The specification without what tells its seeds apart; nothing if the run grows,
        is not a multi-layer perceptron, is trained by natural steps, may end early, or
        is kept on disk.
    """
    fits = spec.kind == "fixed" and spec.model.kind == "mlp"
    plain = spec.train.optimizer == "adamw" and spec.train.batch_size > 1
    if not fits or not plain or spec.workers > 1 or spec.cutoffs or spec.checkpoint:
        return None
    return dataclasses.replace(
        spec,
        run_id="",
        arm="",
        study=0,
        trial=0,
        seed=0,
        evaluate_test=False,
        data=spec.data.model_copy(update={"subset_seed": 0}),
    )

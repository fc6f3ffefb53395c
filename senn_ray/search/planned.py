"""Every run that a job may do, as far as its settings tell before it starts."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from senn_ray.core.records import Kind
from senn_ray.search.arms import grid, ladder, qmc, random
from senn_ray.search.arms.studies import ASKING
from senn_ray.search.plan import (
    CONFIRM,
    CONTROLS,
    GROWING,
    NO_GROWTH,
    Key,
    Plan,
    data_of,
    run_id_of,
    seed_of,
    senn_keys,
)
from senn_ray.search.run_requests import all_wanted

Width = int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRun:
    """A run that a job will do, or may do; what depends on results is None."""

    run_id: str | None
    arm: str
    kind: Kind
    seed: int | None
    per_class: int | Literal["all"]
    hidden: tuple[int, ...] | None
    certain: bool
    """Whether it is done whatever comes out; all others count as "at most"."""


def planned_runs(plan: Plan) -> list[PlannedRun]:
    """List every run of a job: what the arms ask for first, then what may follow."""
    runs = {
        key: _run(plan, key, want.choice and want.choice.hidden, certain=True)
        for key, want in all_wanted(plan, {}, None)
    }
    arms = {"grow": (), "scan": plan.config.scan.arms}
    for arm in arms.get(plan.verb, plan.config.baseline.arms):
        if arm == NO_GROWTH:  # One for each growing run that completes.
            for key in senn_keys(plan):
                own = replace(key, arm=arm)
                runs[own] = _run(plan, own, None, certain=False)
        for key, width, certain in _searched(plan, arm):
            hidden = None if width is None else (width,)
            runs.setdefault(key, _run(plan, key, hidden, certain=certain))
    if plan.verb != "compare":
        return list(runs.values())
    # Two winners an arm (one for each target), and a plain run of the self-found width.
    # A confirmation is named by its width, so name and seed are not known.
    searching = set(plan.config.baseline.arms) - CONTROLS - GROWING
    again = PlannedRun(
        run_id=None,
        arm=CONFIRM,
        kind="fixed",
        seed=None,
        per_class=plan.config.data.per_class,
        hidden=None,
        certain=False,
    )
    number = (2 * len(searching) + 1) * plan.config.compare.retrain_seeds
    return [*runs.values(), *[again] * number]


def _run(
    plan: Plan, key: Key, hidden: tuple[int, ...] | None, *, certain: bool
) -> PlannedRun:
    return PlannedRun(
        run_id=run_id_of(plan, key),
        arm=key.arm,
        kind="grow" if key.arm in GROWING else "fixed",
        seed=seed_of(plan, key),
        per_class=data_of(plan, key).per_class,
        hidden=None if key.arm in GROWING else hidden,
        certain=certain,
    )


def _searched(plan: Plan, arm: str) -> Iterator[tuple[Key, Width, bool]]:
    """List the most runs of an arm that searches: key, width, and whether it is certain."""
    baseline = plan.config.baseline
    draws: dict[str, Callable[[Plan, int], int]] = {
        "random": random.draw_width,
        "qmc": qmc.draw_width,
    }
    repeats, certain, widths = baseline.repeats, math.inf, list[Width]()
    if arm in draws:
        repeats, certain = 1, baseline.until_hits
        widths = [draws[arm](plan, trial) for trial in range(baseline.max_trials)]
    elif arm in ASKING:
        repeats, widths = baseline.studies, [None] * baseline.trials_per_study
    elif arm in {"ladder", "ladder_bisect"}:
        rungs = grid.widths(plan)
        rungs += [plan.highest] if rungs[-1] < plan.highest else []
        # The first doublings are tried whether or not they help.
        widths, certain = [*rungs], ladder.PATIENCE + 1
        if arm == "ladder_bisect":
            widths, certain = [*rungs[:2]], 2
            widths += [None] * (len(rungs[2:]) + _bisections(plan, rungs))
    for study in range(repeats):
        for trial, width in enumerate(widths):
            size = plan.config.data.per_class
            key = Key(arm=arm, study=study, trial=trial, per_class=size)
            yield key, width, trial < certain


def _bisections(plan: Plan, rungs: list[int]) -> int:
    """Count the most steps of the bisection that follows a ladder."""

    def longest(low: int, good: int) -> int:
        middle = (low + good) // 2
        if good <= plan.config.compare.size_factor * low or middle <= low:
            return 0
        return 1 + max(longest(low, middle), longest(middle, good))

    return max(map(longest, rungs, rungs[1:]), default=0)

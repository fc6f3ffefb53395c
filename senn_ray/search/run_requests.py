"""Which runs of a job are justified by what has finished.

A pure function of the plan, the finished runs and the locked targets: the order in
which runs finish, and how many go side by side, change nothing in the end.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.search.arms import (
    confirm,
    grid,
    ladder,
    ladder_bisect,
    max_once,
    no_growth,
    qmc,
    random,
    studies,
)
from senn_ray.search.plan import (
    GRADMAX,
    GRID,
    NO_GROWTH,
    SENN,
    Key,
    Plan,
    RunRequest,
    senn_keys,
)

Finished = Mapping[Key, RunRecord]
Keyed = list[tuple[Key, RunRequest]]
Arm = Callable[
    [Plan, Mapping[tuple[int, int], RunRecord], TargetLocked | None], list[RunRequest]
]
# Arms that must wait for their own results come first: they end last.
ARMS: dict[str, Arm] = {
    "tpe_full": studies.wanted,
    "tpe_pareto": studies.wanted,
    "tpe": studies.wanted,
    "tpe_pruner": studies.wanted,
    "ladder_bisect": ladder_bisect.wanted,
    "ladder": ladder.wanted,
    "max_once": max_once.wanted,
    "qmc": qmc.wanted,
    "random": random.wanted,
}


def all_wanted(plan: Plan, finished: Finished, target: TargetLocked | None) -> Keyed:
    """List all runs that are justified, most urgent first.

    Args:
        plan: The plan of the job.
        finished: All records of the job.
        target: The locked targets of a comparison, when they are.
    """
    wants: Keyed = [(key, RunRequest()) for key in senn_keys(plan)]
    if plan.verb == "scan":
        pairs = _paired(plan, plan.config.scan.arms)
        if NO_GROWTH in plan.config.scan.arms:
            pairs += _keyed(plan, NO_GROWTH, no_growth.wanted(finished))
        return [*wants, *pairs, *_keyed(plan, GRID, grid.scan_wanted(plan))]
    if plan.verb == "grow" or _is_hopeless(plan, finished, target):
        return wants
    wants += _of_arms(plan, finished, target)
    if target and all(key in finished for key, _ in wants):
        wants += confirm.wanted(plan, finished, target)
    return wants


def _of_arms(plan: Plan, finished: Finished, target: TargetLocked | None) -> Keyed:
    chosen = plan.config.baseline.arms
    wants = _paired(plan, chosen)
    for arm, wanted in ARMS.items():
        if arm in chosen:
            own = {(k.study, k.trial): r for k, r in finished.items() if k.arm == arm}
            wants += _keyed(plan, arm, wanted(plan, own, target))
    if GRID in chosen:
        wants += _keyed(plan, GRID, grid.wanted(plan))
    if NO_GROWTH in chosen and target:
        wants += _keyed(plan, NO_GROWTH, no_growth.wanted(finished))
    return wants


def _paired(plan: Plan, chosen: Sequence[str]) -> Keyed:
    """List a run of ``gradmax`` for each self-expanding run, if that is chosen."""
    if GRADMAX not in chosen:
        return []
    keys = [replace(key, arm=GRADMAX) for key in senn_keys(plan)]
    return [(key, RunRequest()) for key in keys]


def _is_hopeless(plan: Plan, finished: Finished, target: TargetLocked | None) -> bool:
    senn = [key for key in finished if key.arm == SENN]
    return target is None and len(senn) == plan.config.compare.seeds


def _keyed(plan: Plan, arm: str, requests: list[RunRequest]) -> Keyed:
    return [
        (
            Key(
                arm=arm,
                study=request.study,
                trial=request.trial,
                per_class=request.per_class or plan.config.data.per_class,
                width=request.width,
            ),
            request,
        )
        for request in requests
    ]

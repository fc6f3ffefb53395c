"""Every run that a job may do, as far as its settings tell before it starts."""

from dataclasses import dataclass
from typing import Literal

from senn_ray.core.records import Kind
from senn_ray.search.arms import RunRequest, find
from senn_ray.search.plan import CONFIRM, Key, Plan
from senn_ray.search.run_requests import all_requests, chosen_arms, key_for
from senn_ray.search.specs import data_of, run_id_of, seed_of


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
    walks: bool = False
    """Whether its network is walked down the ladder of sizes."""


def planned_runs(plan: Plan) -> list[PlannedRun]:
    """List every run of a job: what the arms ask for first, then what may follow."""
    runs = {
        key: _run(plan, key, request, certain=True)
        for key, request in all_requests(plan, {}, None).items()
    }
    arms = [] if plan.verb == "grow" else chosen_arms(plan)
    for arm in arms:
        for request, certain in arm.at_most(plan) if arm.at_most else ():
            key = key_for(plan, arm, request)
            runs.setdefault(key, _run(plan, key, request, certain=certain))
    if plan.verb != "compare":
        return list(runs.values())
    # Two winners an arm (one for each target), and a plain run of the self-found width.
    # A confirmation is named by its width, so name and seed are not known.
    searching = [a for a in arms if a.kind == "opponent" and not a.opens_test]
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


def _run(plan: Plan, key: Key, request: RunRequest, *, certain: bool) -> PlannedRun:
    grows = find(key.arm).grows
    return PlannedRun(
        run_id=run_id_of(plan, key),
        arm=key.arm,
        kind="grow" if grows else "fixed",
        seed=seed_of(plan, key),
        per_class=data_of(plan, key).per_class,
        hidden=None if grows or request.choice is None else request.choice.hidden,
        certain=certain,
        walks=grows or (request.choice is not None and request.choice.walks),
    )

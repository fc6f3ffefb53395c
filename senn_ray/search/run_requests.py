"""Which runs of a job are justified by what has finished.

A pure function of the plan, the finished runs and the locked targets: the order in
which runs finish, and how many go side by side, change nothing in the end.
"""

from collections.abc import Mapping

from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.search import confirm
from senn_ray.search.arms import ARMS, Arm, ArmState, RunRequest, find
from senn_ray.search.plan import GRID, SENN, Key, Plan

Finished = Mapping[Key, RunRecord]
Requests = dict[Key, RunRequest]


def all_requests(
    plan: Plan, finished: Finished, target: TargetLocked | None
) -> Requests:
    """Return all runs that are justified, finished ones included, most urgent first."""
    requests = requests_of(ARMS[SENN], plan, finished, target)
    grown = sum(key.arm == SENN for key in finished)
    hopeless = target is None and grown == plan.config.compare.seeds
    if plan.verb == "grow" or (plan.verb == "compare" and hopeless):
        return requests
    for arm in chosen_arms(plan):
        requests |= requests_of(arm, plan, finished, target)
    # No arm may see what comes of confirmations, so they wait for all others.
    if plan.verb == "compare" and target and requests.keys() <= finished.keys():
        for key, choice in confirm.choices(plan, finished, target).items():
            requests[key] = RunRequest(choice=choice)
    return requests


def chosen_arms(plan: Plan) -> list[Arm]:
    """Return the arms of a job besides self-expansion, most urgent first.

    Growing runs take longest, and the runs of a study wait for each other.
    """
    scan = plan.verb == "scan"
    names = [*plan.config.scan.arms, GRID] if scan else plan.config.baseline.arms
    order = [*ARMS]

    def urgency(arm: Arm) -> tuple[bool, bool, bool, int]:
        place = order.index(arm.name) if arm.name in ARMS else len(order)
        return not arm.grows, arm.kind == "control", arm.search != "study", place

    return sorted((find(name) for name in dict.fromkeys(names)), key=urgency)


def requests_of(
    arm: Arm, plan: Plan, finished: Finished, target: TargetLocked | None
) -> Requests:
    """Return the runs that an arm asks for, showing it only what it may know."""
    own = {(k.study, k.trial): r for k, r in finished.items() if k.arm == arm.name}
    grown = tuple(record for key, record in finished.items() if key.arm == SENN)
    state = ArmState(
        plan=plan,
        finished=own,
        target=target if arm.stops_at_hits else None,
        # In a comparison the targets are locked when all of them have ended.
        grown=grown if arm.paired and (target or plan.verb == "scan") else (),
    )
    return {key_for(plan, arm, request): request for request in arm.next_runs(state)}


def key_for(plan: Plan, arm: Arm, request: RunRequest) -> Key:
    """Return the key of a run that an arm asks for."""
    return Key(
        arm=arm.name,
        study=request.study,
        trial=request.trial,
        per_class=request.per_class or plan.config.data.per_class,
        width=request.width,
    )

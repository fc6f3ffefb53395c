"""Which runs of a job are justified by what has finished.

A pure function of the plan, the finished runs and the locked targets: the order in
which runs finish, and how many go side by side, change nothing in the end.

``all_requests`` is that function. Asking all arms about all runs at every event would cost
the square of their number, so the state machine keeps a *board*: the requests of each arm
that no run has been started for. An event changes the lists of few arms.
"""

from collections.abc import Mapping

from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.search import confirm
from senn_ray.search.arms import ARMS, Arm, ArmState, RunRequest, find
from senn_ray.search.plan import CONFIRM, GRID, SENN, Key, Plan

Finished = Mapping[Key, RunRecord]
Requests = dict[Key, RunRequest]
Board = Mapping[str, tuple[tuple[Key, RunRequest], ...]]
"""By arm, most urgent first: what it asks for and nothing was started for."""


def all_requests(
    plan: Plan, finished: Finished, target: TargetLocked | None
) -> Requests:
    """Return all runs that are justified, finished ones included, most urgent first."""
    requests = Requests()
    for arm in asked_arms(plan, finished, target):
        requests |= requests_of(arm, plan, finished, target)
    # No arm may see what comes of confirmations, so they wait for all others.
    if plan.verb == "compare" and target and requests.keys() <= finished.keys():
        requests |= _confirmations(plan, finished, target)
    return requests


def renewed(  # noqa: PLR0913 - the state, of which this knows nothing
    board: Board | None,
    event_of: Key | None,
    *,
    plan: Plan,
    finished: Finished,
    target: TargetLocked | None,
    issued: frozenset[Key],
    enough: int,
) -> Board:
    """Bring a board up to date.

    Args:
        board: The board before the event; or nothing, and all arms are asked.
        event_of: The run that has finished, if that is all that has changed.
        plan: The plan of the job.
        finished: All records, that of this run too.
        target: The locked targets.
        issued: The runs that have been started.
        enough: How many open requests of an arm are sure to fill the free places.

    Returns:
        The same as all requests but those of ``issued``, or at least ``enough`` of them.
    """
    arms, fresh = asked_arms(plan, finished, target), dict(board or {})
    names = {arm.name for arm in arms}
    for arm in arms:
        if board is None or event_of is None or arm.name not in board:
            is_stale = True
        else:
            follows = arm.paired and event_of.arm == SENN
            concerned = not arm.listed and (event_of.arm == arm.name or follows)
            # What an arm has asked for it wants whatever comes, so more can wait.
            is_stale = concerned and len(board[arm.name]) < enough
        if is_stale:
            fresh[arm.name] = _open(_unfinished(arm, plan, finished, target), issued)
    kept = {name: fresh[name] for name in (arm.name for arm in arms)}
    if plan.verb != "compare" or not target or any(kept.values()):
        return kept
    if board and CONFIRM in board:
        return {**kept, CONFIRM: board[CONFIRM]}
    # What is in flight decides nothing of the confirmations if it is one.
    flying = issued.difference(finished)
    if any(key.arm in names for key in flying):
        return kept
    return {**kept, CONFIRM: _open(_confirmations(plan, finished, target), issued)}


def taken(board: Board, count: int) -> tuple[Board, list[tuple[Key, RunRequest]]]:
    """Take the most urgent requests off a board, at most so many."""
    left, begun = dict[str, tuple[tuple[Key, RunRequest], ...]](), []
    for name, asked in board.items():
        most = max(count - len(begun), 0)
        begun += asked[:most]
        left[name] = asked[most:]
    return left, begun


def asked_arms(
    plan: Plan, finished: Finished, target: TargetLocked | None
) -> list[Arm]:
    """Return the arms that have a say now, most urgent first: none without a target."""
    grown = sum(key.arm == SENN for key in finished)
    hopeless = target is None and grown == plan.config.compare.seeds
    if plan.verb == "grow" or (plan.verb == "compare" and hopeless):
        return [ARMS[SENN]]
    return [ARMS[SENN], *chosen_arms(plan)]


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
    state = _known_to(arm, plan, finished, target)
    return {key_for(plan, arm, request): request for request in arm.next_runs(state)}


def _unfinished(
    arm: Arm, plan: Plan, finished: Finished, target: TargetLocked | None
) -> Requests:
    """Return the same without most of the runs that have finished: keys are dear."""
    state = _known_to(arm, plan, finished, target)
    return {
        key_for(plan, arm, request): request
        for request in arm.next_runs(state)
        if request.width is not None
        or request.per_class is not None
        or (request.study, request.trial) not in state.finished
    }


def _known_to(
    arm: Arm, plan: Plan, finished: Finished, target: TargetLocked | None
) -> ArmState:
    own = {(k.study, k.trial): r for k, r in finished.items() if k.arm == arm.name}
    grown = tuple(record for key, record in finished.items() if key.arm == SENN)
    return ArmState(
        plan=plan,
        finished=own,
        target=target if arm.stops_at_hits else None,
        # In a comparison the targets are locked when all of them have ended.
        grown=grown if arm.paired and (target or plan.verb == "scan") else (),
    )


def key_for(plan: Plan, arm: Arm, request: RunRequest) -> Key:
    """Return the key of a run that an arm asks for."""
    return Key(
        arm=arm.name,
        study=request.study,
        trial=request.trial,
        per_class=request.per_class or plan.config.data.per_class,
        width=request.width,
    )


def _confirmations(plan: Plan, finished: Finished, target: TargetLocked) -> Requests:
    chosen = confirm.choices(plan, finished, target)
    return {key: RunRequest(choice=choice) for key, choice in chosen.items()}


def _open(
    asked: Requests, issued: frozenset[Key]
) -> tuple[tuple[Key, RunRequest], ...]:
    return tuple((k, r) for k, r in asked.items() if k not in issued)

"""The state machine of a job: pure, it decides everything and does nothing.

``step(state, event) -> (state, commands)``. What is decided depends on which runs have
finished, never on when. ``coordinator.py`` carries the commands out.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from senn_ray.core.events import (
    CapacityChanged,
    Event,
    JobEnded,
    JobResumed,
    JobStarted,
    RunFinished,
    StopRequested,
    TargetLocked,
    TestOpened,
)
from senn_ray.core.records import FAULTY, RunRecord, RunSpec
from senn_ray.search.arms import RunRequest, find
from senn_ray.search.plan import SENN, Choice, Key, Plan, key_of
from senn_ray.search.run_requests import Board, renewed, taken
from senn_ray.search.specs import fixed_spec, grow_spec, proposed_spec, run_id_of
from senn_ray.search.targets import lock

# How a job ends that was told to stop: its state, and the exit code.
ENDS = {"asked": ("stopped", 130), "budget": ("budget", 5)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposed:
    """A study proposed what a run should be."""

    key: Key
    choice: Choice


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """Command: write an event to the journal and show it."""

    event: Event


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Command: hand a run to the executor."""

    spec: RunSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """Command: let a study propose a run."""

    key: Key


@dataclass(frozen=True, kw_only=True, slots=True)
class Tell:
    """Command: report an outcome to its study."""

    key: Key
    record: RunRecord


Command = Note | Start | Ask | Tell


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """All that decisions depend on."""

    plan: Plan
    capacity: int
    """Runs that may be in flight."""
    issued: frozenset[Key] = frozenset()
    finished: Mapping[Key, RunRecord] = field(default_factory=dict)
    target: TargetLocked | None = None
    opened: frozenset[str] = frozenset()
    lost: tuple[RunSpec, ...] = ()
    """Runs that were in flight when the driver of a resumed job ended."""
    board: Board | None = None
    """What is asked for and not started: follows from the rest, kept for speed."""
    stopping: StopRequested | None = None
    """Why no run starts any more, until the job is resumed."""


def step(state: State, event: Event | Proposed) -> tuple[State, list[Command]]:
    """Decide what follows from an event.

    Args:
        state: What is known.
        event: The beginning of the job or of its continuation, a finished run, a
            proposal, or a request to stop; other events change nothing.

    Returns:
        What is known then, and what to do, in order.
    """
    match event:
        case JobStarted() | JobResumed():
            return _begin(state)
        case StopRequested() | CapacityChanged():
            return _advance(_told(state, event))
        case Proposed(key=key, choice=choice):
            mine = (key.arm, key.study)
            study = [r for k, r in state.finished.items() if (k.arm, k.study) == mine]
            spec = proposed_spec(state.plan, key, choice, study)
            return state, [Start(spec=spec)]
        case RunFinished(record=record):
            key = key_of(record)
            finished = {**state.finished, key: record}
            tells = [Tell(key=key, record=record)] if _is_told(key) else []
            state = dataclasses.replace(state, finished=finished)
            state, commands = _advance(state, key)
            return state, [*tells, *commands]
        case _:
            return state, []


def _told(state: State, event: StopRequested | CapacityChanged) -> State:
    if isinstance(event, StopRequested):
        return dataclasses.replace(state, stopping=event)
    return dataclasses.replace(state, capacity=event.capacity)


def _begin(state: State) -> tuple[State, list[Command]]:
    """Repeat what the journal of a resumed job cannot tell was done, and go on.

    Studies are told all outcomes again (they ignore what they know), because the
    driver may have ended between writing an outcome and telling it.
    """
    told = sorted(
        filter(_is_told, state.finished),
        key=lambda key: (key.arm, key.study, key.trial),
    )
    tells: list[Command] = [Tell(key=key, record=state.finished[key]) for key in told]
    starts = [Start(spec=spec) for spec in state.lost]
    state, commands = _advance(dataclasses.replace(state, lost=()))
    return state, [*tells, *starts, *commands]


def _advance(state: State, run: Key | None = None) -> tuple[State, list[Command]]:
    """Do what the finished runs justify: lock, open tests, start runs, or end.

    Args:
        state: What is known.
        run: The run that has finished, if that is what happened.
    """
    state, locked = _lock(state)
    board = renewed(
        state.board,
        None if locked else run,
        plan=state.plan,
        finished=state.finished,
        target=state.target,
        issued=state.issued,
        enough=state.capacity,
    )
    # A resumed job may have more in flight than fits now: then none starts.
    flying = len(state.issued) - len(state.finished)
    if (request := state.stopping) is not None:
        state = dataclasses.replace(state, board=board)
        return state, [*locked, *_drain(state, board, request)]
    # Noted before the runs start, so that test data is never read without a trace.
    state, opened = _open_tests(state, board)
    board, begun = taken(board, max(state.capacity - flying, 0))
    issued = state.issued.union(key for key, _ in begun)
    state = dataclasses.replace(state, issued=issued, board=board)
    started = [_start(state.plan, key, request) for key, request in begun]
    # Nothing is asked for and nothing can finish, so nothing more would be asked for.
    over = not (begun or any(board.values()) or flying)
    ended: list[Command] = [Note(event=_ended(state))] if over else []
    return state, [*locked, *opened, *started, *ended]


def _drain(state: State, board: Board, request: StopRequested) -> list[Command]:
    """End the job as soon as nothing is in flight; a resumed job starts the rest."""
    if len(state.issued) > len(state.finished):
        return []
    if not any(board.values()):
        return [Note(event=_ended(state))]
    state_of, code = ENDS[request.why]
    return [Note(event=JobEnded(state=state_of, exit_code=code))]


def _lock(state: State) -> tuple[State, list[Command]]:
    """Fix the targets of a comparison, once, when all self-expanding runs are in."""
    records = [r for key, r in state.finished.items() if key.arm == SENN]
    config = state.plan.config.compare
    ready = state.plan.verb == "compare" and len(records) == config.seeds
    if state.target is not None or not ready:
        return state, []
    target = lock(records, config.size_factor)
    if target is None:
        return state, []
    return dataclasses.replace(state, target=target), [Note(event=target)]


def _open_tests(state: State, board: Board) -> tuple[State, list[Command]]:
    """Note which runs that are asked for read test data, if that is not noted yet."""
    before = state.board or {}
    keys = [
        key
        for name, asked in board.items()
        # A list that is as it was has been noted.
        if asked is not before.get(name)
        for key, _ in asked
        if find(key.arm).opens_test
    ]
    ids = (run_id_of(state.plan, key) for key in keys)
    fresh = tuple(run_id for run_id in ids if run_id not in state.opened)
    if not fresh:
        return state, []
    state = dataclasses.replace(state, opened=state.opened | set(fresh))
    return state, [Note(event=TestOpened(run_ids=fresh))]


def _is_told(key: Key) -> bool:
    """Tell whether a study hears of a run: it belongs to an arm that proposes."""
    return find(key.arm).proposer is not None


def _start(plan: Plan, key: Key, request: RunRequest) -> Command:
    """Start a run whose specification is known, or ask a study for what is open."""
    if find(key.arm).grows:
        return Start(spec=grow_spec(plan, key))
    if request.choice is None:
        return Ask(key=key)
    return Start(spec=fixed_spec(plan, key, request.choice))


def _ended(state: State) -> JobEnded:
    """Say how a job ended that came to rest: code 6, if any run failed or diverged."""
    if all(record.state not in FAULTY for record in state.finished.values()):
        return JobEnded(state="complete", exit_code=0)
    useful = state.plan.verb != "compare" or state.target is not None
    some = any(record.state == "complete" for record in state.finished.values())
    return JobEnded(state="complete" if useful and some else "failed", exit_code=6)

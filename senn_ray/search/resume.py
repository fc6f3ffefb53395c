"""Resume: from the journal of a job to the state in which it goes on.

Every decision is a function of which runs have finished (``machine.py``), and all of
those are in the journal. So the state is a fold over events that asks nothing of the
kind of plan: arms, targets and plans that are added later are resumed as well.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from senn_ray.events import (
    Event,
    JobEnded,
    JobResumed,
    RunFinished,
    RunSubmitted,
    TargetLocked,
    TestOpened,
)
from senn_ray.records import RunSpec
from senn_ray.search.machine import State
from senn_ray.search.plan import Plan, key_of

SOME_RUNS_FAILED = 6


def restore(plan: Plan, events: Sequence[Event], *, capacity: int) -> State:
    """Rebuild the state of a job from its journal, wherever the journal ends.

    Args:
        plan: The plan of the job.
        events: What ``journal.read`` gave.
        capacity: How many runs to keep in flight from now on.
    """
    specs = [event.spec for event in events if isinstance(event, RunSubmitted)]
    submitted = {key_of(spec): spec for spec in specs}
    records = [event.record for event in events if isinstance(event, RunFinished)]
    finished = {key_of(record): record for record in records}
    targets = [event for event in events if isinstance(event, TargetLocked)]
    opened = [event.run_ids for event in events if isinstance(event, TestOpened)]
    return State(
        plan=plan,
        capacity=capacity,
        issued=frozenset(submitted | finished),
        finished=finished,
        target=targets[0] if targets else None,
        opened=frozenset().union(*opened),
        lost=tuple(
            _moved(plan, spec) for key, spec in submitted.items() if key not in finished
        ),
    )


def outcome(events: Sequence[Event]) -> JobEnded | None:
    """Return how a job ended, if there is nothing left to do in it.

    An interrupted job, or one that an error of the machinery ended, can go on.

    Args:
        events: What ``journal.read`` gave.
    """
    ends = [event for event in events if isinstance(event, JobEnded | JobResumed)]
    last = ends[-1] if ends else None
    if not isinstance(last, JobEnded):
        return None
    over = last.state == "complete" or last.exit_code == SOME_RUNS_FAILED
    return last if over else None


def _moved(plan: Plan, spec: RunSpec) -> RunSpec:
    """Keep the network of a run where the run folder is now."""
    if spec.checkpoint is None or plan.checkpoints is None:
        return spec
    path = plan.checkpoints / spec.run_id / Path(spec.checkpoint).name
    return dataclasses.replace(spec, checkpoint=str(path))

"""Resume: from the journal of a job to the state in which it goes on.

Every decision is a function of which runs have finished (``machine.py``), and all of
those are in the journal. So the state is a fold over events that asks nothing of the
kind of plan: arms, targets and plans that are added later are resumed as well.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from senn_ray.core.events import Event, JobEnded, TestOpened, end_of
from senn_ray.core.names import inside
from senn_ray.core.records import RunSpec
from senn_ray.search.attempts import attempts
from senn_ray.search.machine import State
from senn_ray.search.plan import Plan
from senn_ray.search.targets import target_is_stale, valid_target

SOME_RUNS_FAILED = 6


def restore(
    plan: Plan,
    events: Sequence[Event],
    *,
    capacity: int,
    retry_failed: bool = False,
) -> State:
    """Rebuild the state of a job from its journal, wherever the journal ends.

    Args:
        plan: The plan of the job.
        events: What ``journal.read`` gave.
        capacity: How many runs to keep in flight from now on.
        retry_failed: Whether runs that failed are done again, as if they had been in
            flight. Runs that diverged are not: they would diverge again.
    """
    tried = attempts(events)
    finished = {
        key: record
        for key, record in tried.finished.items()
        if not (retry_failed and record.state == "failed")
    }
    opened = [event.run_ids for event in events if isinstance(event, TestOpened)]
    return State(
        plan=plan,
        capacity=capacity,
        # Lost runs too: the state machine starts those by itself, and first.
        # A line that was lost may have been the one that told of a run's beginning.
        issued=frozenset(tried.submitted) | finished.keys(),
        finished=finished,
        target=valid_target(events, finished, plan.config.compare.seeds),
        opened=frozenset().union(*opened),
        lost=tuple(
            _moved(plan, spec)
            for key, spec in tried.submitted.items()
            if key not in finished
        ),
    )


def outcome(events: Sequence[Event], *, retry_failed: bool = False) -> JobEnded | None:
    """Return how a job ended, if there is nothing left to do in it.

    An interrupted job, or one that an error of the machinery ended, can go on; so can
    one with failed runs, if they are to be done again, and one whose targets are not
    those of its self-expanding runs.

    Args:
        events: What ``journal.read`` gave.
        retry_failed: Whether runs that failed are done again.
    """
    last = end_of(events, alive=False)
    tried = attempts(events)
    failed = any(record.state == "failed" for record in tried.finished.values())
    # As the line that told of its end was damaged.
    is_lost = not tried.submitted.keys() <= tried.finished.keys()
    if is_lost or target_is_stale(events) or (retry_failed and failed):
        return None
    over = last.state == "complete" or last.exit_code == SOME_RUNS_FAILED
    return last if over else None


def _moved(plan: Plan, spec: RunSpec) -> RunSpec:
    """Keep the network of a run where the run folder is now."""
    if spec.checkpoint is None or plan.checkpoints is None:
        return spec
    path = inside(plan.checkpoints, f"{spec.run_id}/{Path(spec.checkpoint).name}")
    return dataclasses.replace(spec, checkpoint=str(path))

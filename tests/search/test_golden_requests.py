"""Today's rules ask for the runs of yesterday's jobs: same places, names and seeds."""

from dataclasses import replace

import pytest

from senn_ray.core.events import JobStarted, TargetLocked
from senn_ray.core.records import RunSpec
from senn_ray.search.attempts import attempts
from senn_ray.search.changes import config_of
from senn_ray.search.plan import Choice, Plan, key_of
from senn_ray.search.run_requests import all_requests
from senn_ray.search.specs import fixed_spec, grow_spec
from tests.golden import journals


def plan_of(name: str) -> Plan:
    began = journals.events(name)[0]
    assert isinstance(began, JobStarted)
    return Plan(verb=began.verb, config=config_of(journals.events(name)))  # pyright: ignore[reportArgumentType]


def specified(plan: Plan, spec: RunSpec) -> RunSpec:
    """Specify a run again; what the job's folder and its study add is copied."""
    key = key_of(spec)
    tuned = spec.train.model_dump() if spec.arm.endswith("_full") else {}
    choice = Choice(
        hidden=spec.model.hidden,
        lr=tuned.get("lr"),
        weight_decay=tuned.get("weight_decay"),
    )
    again = (
        grow_spec(plan, key) if spec.kind == "grow" else fixed_spec(plan, key, choice)
    )
    kept = {"checkpoint": spec.checkpoint, "cutoffs": spec.cutoffs}
    # Those jobs are of before networks were walked down.
    assert (again.front is None) == (spec.kind == "fixed")
    return replace(again, **kept, front=spec.front)


@pytest.mark.parametrize("name", journals.NAMES)
def test_every_run_has_the_specification_it_had(name: str) -> None:
    plan = plan_of(name)
    for spec in attempts(journals.events(name)).submitted.values():
        assert specified(plan, spec) == spec


@pytest.mark.parametrize("name", journals.NAMES)
def test_a_finished_job_asks_for_the_runs_that_were_done_and_no_others(
    name: str,
) -> None:
    events = journals.events(name)
    tried = attempts(events)
    target = next((e for e in events if isinstance(e, TargetLocked)), None)
    asked = all_requests(plan_of(name), tried.finished, target)
    assert asked.keys() == tried.submitted.keys()
    for key, request in asked.items():
        if request.choice is not None:
            assert tried.submitted[key].model.hidden == request.choice.hidden

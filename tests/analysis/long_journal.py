"""Journals of comparisons with thousands of runs, made without a coordinator."""

import dataclasses

from senn_ray.core.events import (
    Event,
    JobEnded,
    RunFinished,
    RunSubmitted,
    TargetLocked,
)
from senn_ray.search.plan import SENN, Key, Plan, plain
from senn_ray.search.specs import fixed_spec, grow_spec
from senn_ray.search.targets import lock
from tests.search.fakes import fake_run, make_config, started

STUDIES = 4


def long_journal(runs: int) -> list[Event]:
    """Write what a comparison of about so many runs would: a fifth grows.

    Three fifths are independent trials, of two arms; the rest is one arm of studies.
    """
    fifth = runs // 5
    config = make_config(
        arms=("random", "qmc", "tpe_pareto"),
        max_trials=3 * fifth,
        until_hits=3 * fifth,
        studies=STUDIES,
        trials_per_study=fifth // STUDIES,
    )
    compared = config.compare.model_copy(update={"seeds": fifth})
    plan = Plan(verb="compare", config=config.model_copy(update={"compare": compared}))
    grown = [Key(arm=SENN, study=0, trial=n) for n in range(fifth)]
    fixed = [Key(arm="random", study=0, trial=n) for n in range(2 * fifth)]
    fixed += [Key(arm="qmc", study=0, trial=n) for n in range(fifth)]
    fixed += [
        Key(arm="tpe_pareto", study=n % STUDIES, trial=n // STUDIES)
        for n in range(fifth // STUDIES * STUDIES)
    ]
    specs = [grow_spec(plan, key) for key in grown]
    specs += [
        fixed_spec(plan, key, plain(2 + 13 * n % 120)) for n, key in enumerate(fixed)
    ]
    events: list[Event] = [started(plan.config, "compare")]
    for number, spec in enumerate(specs):
        # Runs of any seed alike would tie, which real losses never do.
        record = fake_run(dataclasses.replace(spec, seed=number))
        events += [RunSubmitted(spec=spec), RunFinished(record=record)]
        if number == len(grown) - 1:
            events.append(_target(events, config.compare.size_factor))
    return [*events, JobEnded(state="complete", exit_code=0)]


def _target(events: list[Event], size_factor: float) -> TargetLocked:
    records = [e.record for e in events if isinstance(e, RunFinished)]
    target = lock(records, size_factor)
    assert target is not None
    return target

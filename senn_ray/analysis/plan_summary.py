"""How far off the plan of a job was: predicted against actual."""

from senn_ray.analysis.job import Job
from senn_ray.analysis.results import Predicted
from senn_ray.search.plan import Plan
from senn_ray.search.planned import planned_runs
from senn_ray.search.targets import Currency

COLUMNS: tuple[Currency, ...] = ("runs", "steps", "device_s")


def plan_summary(job: Job) -> dict[Currency, Predicted]:
    """Compare what the settings promised with what the job has used.

    Runs and steps follow from the settings and the number of training examples, before
    anything has run. A device-second is what the first run of an arm that finished took
    for a step: nothing else is known at that time, and it costs nothing to know it. The
    prediction counts runs that depend on results, of arms that have any, as "at most".
    """
    plan = Plan(verb=job.started.verb, config=job.config)  # pyright: ignore[reportArgumentType]
    n_train = {r.per_class: r.n_train for r in job.records if r.n_train}
    step_s = dict[str, float]()
    for record in sorted(job.records, key=lambda r: r.started_utc_s + r.wall_s):
        if record.cost.steps:
            step_s.setdefault(record.arm, record.cost.device_s / record.cost.steps)
    predicted: dict[Currency, float] = dict.fromkeys(COLUMNS, 0.0)
    for run in planned_runs(plan):
        steps = job.config.train.steps(n_train.get(run.per_class, 0))
        row = (1, steps, steps * step_s.get(run.arm, 0.0))
        for name, value in zip(COLUMNS, row, strict=True):
            predicted[name] += value
    costs = [record.cost for record in job.records]
    found = dict[Currency, Predicted]()
    for name in COLUMNS:
        actual = sum(getattr(cost, name) for cost in costs)
        ratio = actual / predicted[name] if predicted[name] and actual else None
        found[name] = Predicted(predicted=predicted[name], actual=actual, ratio=ratio)
    return found

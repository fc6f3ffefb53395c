"""``summary.json``: the result of a job, from the events of its journal alone.

Contract (design, section 5); values that are not known are null.

``grow``::

    verb state exit_code dataset seed
    run_id per_class workers hidden_start hidden params n_train train_loss val_loss
    val_accuracy test_loss test_accuracy steps sample_visits flops wall_s device_s
    growth_s growth_share checks stop_reason expansions[...]
    runs[{the same per run, with run_state and error}]   caveats[]
    ledger{arm: {...}}   (see ``senn_ray/analysis/ledger.py``; in every verb)
    promises{...}        (see ``senn_ray/analysis/promises.py``; in every verb)
    plan{...}            (see ``senn_ray/analysis/plan_summary.py``; in every verb)

With several seeds the values at the top are medians (low medians for widths and
counts), ``stop_reason`` is "mixed" unless all agree, ``run_id`` is null and
``expansions`` is empty.

``compare``: see ``senn_ray/analysis/comparison.py``, and for ``retrained`` and
``over_targets`` the modules of these names; ``scan``: see ``senn_ray/analysis/scan.py``.
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Any

from senn_ray.analysis.circumstances import validation
from senn_ray.analysis.comparison import compare_summary
from senn_ray.analysis.job import Job, gather
from senn_ray.analysis.ledger import ledger
from senn_ray.analysis.over_targets import over_targets
from senn_ray.analysis.plan_summary import plan_summary
from senn_ray.analysis.promises import promise_summary
from senn_ray.analysis.retrained import retrained
from senn_ray.analysis.scan import scan_summary
from senn_ray.core.events import Event
from senn_ray.core.records import RunRecord
from senn_ray.search.budget import exhausted
from senn_ray.search.changes import deviations, mixed_versions

SHARED = ("dataset", "per_class", "workers", "hidden_start", "stop_reason")
COUNTS = ("params", "n_train", "steps", "sample_visits", "checks")
MEASURES = (
    "train_loss",
    "val_loss",
    "val_accuracy",
    "test_loss",
    "test_accuracy",
    "flops",
    "wall_s",
    "device_s",
    "growth_s",
    "growth_share",
)


def summarise(events: Sequence[Event]) -> dict[str, Any]:
    """Compute the summary of a job.

    Args:
        events: What ``journal.read`` gave.

    Returns:
        Strict JSON values: no NaN, no infinity. ``deviations`` says what was extended
        since the protocol was frozen, ``budget`` which one ended the job (or null);
        the caveats say it too.
    """
    job = gather(events)
    makers = {"compare": compare_summary, "scan": scan_summary}
    made = makers.get(job.started.verb, grow_summary)(job)
    found = finite({**made, **_of_runs(job)})
    said = deviations(events)
    budget = exhausted(events)
    if budget is not None:
        runs = len(job.records)
        budget = f"{budget}: partial results, of the {runs} runs that are finished"
    about = [*_guesses(job), *validation(job), *found["caveats"]]
    about += mixed_versions(events)
    caveats = [*job.overlap, *about, *said]
    caveats += [budget] if budget else []
    return {**found, "caveats": caveats, "deviations": said, "budget": budget}


def _of_runs(job: Job) -> dict[str, Any]:
    """Compute what is alike for all verbs, and what needs the runs of a comparison."""
    shared = {"promises": promise_summary(job.senn), "plan": plan_summary(job)}
    if job.started.verb != "compare":
        return shared
    return {**shared, "retrained": retrained(job), "over_targets": over_targets(job)}


def grow_summary(job: Job) -> dict[str, Any]:
    """Summarise self-expanding runs.

    Args:
        job: The job.
    """
    runs = [run_summary(record) for record in job.senn]
    top = runs[0] if len(runs) == 1 else _medians(runs)
    head = {
        "verb": "grow",
        "state": job.ended.state,
        "exit_code": job.ended.exit_code,
        "dataset": job.config.data.dataset,
        "seed": job.config.seed,
    }
    rest = {k: v for k, v in top.items() if k not in {*head, "run_state", "error"}}
    tail = {"runs": runs, "ledger": ledger(job), "caveats": _grow_caveats(job)}
    return {**head, **rest, **tail}


def run_summary(record: RunRecord) -> dict[str, Any]:
    """Summarise one run.

    Args:
        record: The run.
    """
    names = ("run_id", *SHARED, "seed", "hidden", "params", "n_train", "checks")
    measured = ("train_loss", "val_loss", "val_accuracy", "test_loss", "test_accuracy")
    cost = record.cost
    return {
        "run_state": record.state,
        "error": record.error,
        **{name: getattr(record, name) for name in (*names, *measured, "wall_s")},
        "hidden_start": list(record.hidden_start),
        "hidden": list(record.hidden),
        "steps": cost.steps,
        "sample_visits": cost.sample_visits,
        "flops": cost.flops,
        "device_s": cost.device_s,
        "growth_s": cost.growth_s,
        "growth_share": cost.growth_s / cost.device_s if cost.device_s else None,
        "expansions": [dataclasses.asdict(e) for e in record.expansions],
    }


def finite(value: Any) -> Any:
    """Replace numbers that JSON cannot hold by null, at any depth.

    Args:
        value: JSON values, tuples allowed.
    """
    if isinstance(value, dict):
        return {key: finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    good = [run for run in runs if run["run_state"] == "complete"]
    shared = {name: _common(runs, name) for name in SHARED}
    counts = {name: _median(good, name, low=True) for name in COUNTS}
    measures = {name: _median(good, name, low=False) for name in MEASURES}
    widths = zip(*(run["hidden"] for run in good), strict=False)
    return {
        "run_id": None,
        **shared,
        **counts,
        **measures,
        "hidden": [statistics.median_low(layer) for layer in widths],
        "expansions": [],
    }


def _common(runs: list[dict[str, Any]], name: str) -> Any:
    values = [run[name] for run in runs]
    if not values:
        return None
    return values[0] if all(v == values[0] for v in values) else "mixed"


def _median(runs: list[dict[str, Any]], name: str, *, low: bool) -> Any:
    values = [run[name] for run in runs if run[name] is not None]
    if not values:
        return None
    return statistics.median_low(values) if low else statistics.median(values)


def _guesses(job: Job) -> list[str]:
    """Say if runs have learned nothing that their features tell."""
    ends = [(r.val_loss, r.guess_val_loss) for r in job.senn]
    lost = [(v, g) for v, g in ends if v is not None and g is not None and v >= g]
    if not lost:
        return []
    loss, guess = max(lost)
    return [
        f"{len(lost)} of {len(ends)} self-expanding runs predict no better than who does "
        f"not see the features (validation loss {loss:.4g}, by guessing {guess:.4g}): "
        "there may be too few examples, or nothing to learn"
    ]


def _grow_caveats(job: Job) -> list[str]:
    said = {
        "cap_hit": "hit the cap model.max_hidden: the width is the cap's choice",
        "budget": "ended at the budget before growth had settled",
        "diverged": "diverged",
        "error": "failed",
    }
    counts = {
        reason: [r.stop_reason for r in job.senn].count(reason) for reason in said
    }
    total = len(job.senn)
    return [f"{n} of {total} runs {said[r]}" for r, n in counts.items() if n]

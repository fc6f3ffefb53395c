"""Runs to a target, for any study of trials: how good a search is at its own goal.

The same statistics as in a comparison, for studies that senn-ray did not make. A search
is one trial if the trials are independent (random or quasi-random search, a grid in
random order), or else one whole study: the trials of TPE and of its kind depend on each
other, so only studies may be compared or resampled.

Contract::

    storage target direction objective independent
    studies[{name trials complete pruned failed open best runs_to_target seconds}]
        runs_to_target: the first trial, in order, that reached the target, or null
    trials searches hits
    hit_probability{estimate low high}       of one search
    runs_to_target{estimate low high bound}  expected, if searches are repeated
    seconds_to_target{...}                   the same; null unless all trials have times
    median_runs median_runs_low median_runs_high
    curve[{runs val_loss median low high cost{runs seconds}}]
        best of so many runs; see ``curves.py``, with ``low`` and ``high`` as numbers go,
        whatever the direction
    notes[]

Only complete trials can reach a target: the value of a pruned trial is that of a model
that was not trained to its end. Pruned and failed trials count as runs.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from senn_ray.analysis.arm_rows import as_json
from senn_ray.analysis.curves import curve
from senn_ray.analysis.distributions import clopper_pearson
from senn_ray.analysis.statistics import Reached, Runs, cost_to_hit, reach
from senn_ray.analysis.survival import geometric_median, median_runs
from senn_ray.core.errors import ConfigError, DataError
from senn_ray.search.studies import Direction, Study, Trial

LEAST_SEARCHES = 3
COSTS = ("runs", "seconds")


def match(
    studies: Sequence[Study],
    target: float,
    *,
    storage: str,
    objective: int = 0,
    independent: bool = False,
) -> dict[str, Any]:
    """Tell how many runs the studies need to reach a target.

    Args:
        studies: Studies of the same problem, each an independent search.
        target: The value to reach; at most or at least, by the direction.
        storage: Where they come from, for the reader.
        objective: Which of their values counts.
        independent: Whether their trials are independent of each other.

    Returns:
        See the contract above; infinite numbers where there is no finite one.
    """
    direction = _direction(studies, objective)
    sign = 1.0 if direction == "minimize" else -1.0
    whole = [_runs(study, objective, sign) for study in studies if study.trials]
    if not whole:
        raise DataError(
            f"{storage} has no trial that has ended; let the study run first"
        )
    singles = [_one(runs, i) for runs in whole for i in range(len(runs.losses))]
    searches = singles if independent else whole
    reached = reach(searches, sign * target, math.inf)
    timed = all(t.seconds is not None for study in studies for t in study.trials)
    found = {
        "storage": storage,
        "target": target,
        "direction": direction,
        "objective": objective,
        "independent": independent,
        "studies": [_study(s, objective, sign, target) for s in studies],
        "trials": len(singles),
        "searches": len(searches),
        "hits": int(reached.hits.sum()),
        **_reaching(reached, adaptive=not independent, timed=timed),
        "curve": _curve(whole, sign, adaptive=not independent, timed=timed),
    }
    return {**found, "notes": _notes(found)}


def _direction(studies: Sequence[Study], objective: int) -> Direction:
    for study in studies:
        if objective >= len(study.directions):
            raise ConfigError(
                f"--objective {objective}: study {study.name} has "
                f"{len(study.directions)} objectives, counted from 0"
            )
    kinds: set[Direction] = {study.directions[objective] for study in studies}
    if len(kinds) > 1:
        raise ConfigError(
            "some of the studies minimise and some maximise; choose with --name"
        )
    return kinds.pop()


def _runs(study: Study, objective: int, sign: float) -> Runs:
    """Return a study as arrays; the cost is one run, and its seconds."""
    return Runs(
        losses=np.array([_loss(trial, objective, sign) for trial in study.trials]),
        params=np.ones(len(study.trials)),
        costs=np.array([[1.0, trial.seconds or 0.0] for trial in study.trials]),
    )


def _one(runs: Runs, place: int) -> Runs:
    here = slice(place, place + 1)
    return Runs(
        losses=runs.losses[here], params=runs.params[here], costs=runs.costs[here]
    )


def _loss(trial: Trial, objective: int, sign: float) -> float:
    if trial.state != "complete" or not math.isfinite(trial.values[objective]):
        return math.inf
    return sign * trial.values[objective]


def _study(study: Study, objective: int, sign: float, target: float) -> dict[str, Any]:
    losses = [_loss(trial, objective, sign) for trial in study.trials]
    states = [trial.state for trial in study.trials]
    best = min(losses, default=math.inf)
    hits = (n for n, loss in enumerate(losses, 1) if loss <= sign * target)
    return {
        "name": study.name,
        "trials": len(losses),
        **{state: states.count(state) for state in ("complete", "pruned", "failed")},
        "open": study.open,
        "best": sign * best if math.isfinite(best) else None,
        "runs_to_target": next(hits, None),
        "seconds": math.fsum(trial.seconds or 0.0 for trial in study.trials),
    }


def _reaching(reached: Reached, *, adaptive: bool, timed: bool) -> dict[str, Any]:
    count, hits = len(reached.hits), int(reached.hits.sum())
    low, high = clopper_pearson(hits, count)
    costs = [as_json(cost) for cost in cost_to_hit(reached, adaptive=adaptive)]
    if hits and count < LEAST_SEARCHES:
        costs = [{**cost, "low": None, "high": None} for cost in costs]
    if adaptive:
        middle = median_runs(reached.costs[:, 0].tolist(), reached.hits.tolist())
        ends = (middle.estimate, middle.low, middle.high)
    else:
        ends = tuple(geometric_median(q) for q in (hits / count, high, low))
    return {
        "hit_probability": {"estimate": hits / count, "low": low, "high": high},
        "runs_to_target": costs[0],
        "seconds_to_target": costs[1] if timed else None,
        "median_runs": ends[0],
        "median_runs_low": ends[1],
        "median_runs_high": ends[2],
    }


def _curve(
    whole: Sequence[Runs], sign: float, *, adaptive: bool, timed: bool
) -> list[dict[str, Any]]:
    points = curve(whole, COSTS, adaptive=adaptive)
    ends = ("low", "high") if sign > 0 else ("high", "low")
    return [
        {
            "runs": point["runs"],
            "val_loss": _signed(point["val_loss"], sign),
            "median": _signed(point["median"], sign),
            "low": _signed(point[ends[0]], sign),
            "high": _signed(point[ends[1]], sign),
            "cost": point["cost"] if timed else {"runs": point["cost"]["runs"]},
        }
        for point in points
    ]


def _signed(value: float | None, sign: float) -> float | None:
    return None if value is None or not math.isfinite(value) else sign * value


def _notes(found: dict[str, Any]) -> list[str]:
    notes = []
    if found["independent"]:
        notes.append(
            "trials are taken as independent, as asked; for a sampler that learns, such "
            "as TPE, that is wrong: leave --independent out"
        )
    elif found["searches"] < LEAST_SEARCHES:
        notes.append(
            "how studies of a sampler that may learn vary takes "
            f"{LEAST_SEARCHES} of them, here {found['searches']}: no interval; give more "
            "studies, or --independent if the trials were random"
        )
    if not found["hits"]:
        notes.append("the target was never reached: bounds only")
    pruned = sum(study["pruned"] for study in found["studies"])
    if pruned:
        notes.append(f"{pruned} pruned trials count as runs and reach no target")
    still = sum(study["open"] for study in found["studies"])
    if still:
        notes.append(f"{still} trials have not ended and are left out")
    return notes

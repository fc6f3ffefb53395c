"""Runs to a target, for any study of trials: how good a search is at its own goal.

The same statistics as in a comparison, for studies that senn-ray did not make. A search
is one trial if the trials are independent (random or quasi-random search, a grid in
random order), or else one whole study: the trials of TPE and of its kind depend on each
other, so only studies may be compared or resampled.

Only complete trials can reach a target: the value of a pruned trial is that of a model
that was not trained to its end. Pruned and failed trials count as runs.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from senn_ray.analysis.curves import curve
from senn_ray.analysis.results import (
    BestOf,
    Interval,
    MatchResult,
    StudyRow,
    finite,
)
from senn_ray.analysis.statistics import (
    Reached,
    Runs,
    clopper_pearson,
    cost_to_hit,
    geometric_median,
    median_runs,
    reach,
)
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
) -> MatchResult:
    """Tell how many runs the studies need to reach a target.

    Args:
        studies: Studies of the same problem, each an independent search.
        target: The value to reach; at most or at least, by the direction.
        storage: Where they come from, for the reader.
        objective: Which of their values counts.
        independent: Whether their trials are independent of each other.

    Raises:
        DataError: if no trial has ended.
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
    found = MatchResult(
        storage=storage,
        target=target,
        direction=direction,
        objective=objective,
        independent=independent,
        studies=tuple(_study(s, objective, sign, target) for s in studies),
        trials=len(singles),
        searches=len(searches),
        hits=int(reached.hits.sum()),
        **_reaching(reached, adaptive=not independent, timed=timed),
        curve=_curve(whole, sign, adaptive=not independent, timed=timed),
    )
    return finite(dataclasses.replace(found, notes=tuple(_notes(found))))


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


def _study(study: Study, objective: int, sign: float, target: float) -> StudyRow:
    losses = [_loss(trial, objective, sign) for trial in study.trials]
    states = [trial.state for trial in study.trials]
    best = min(losses, default=math.inf)
    hits = (n for n, loss in enumerate(losses, 1) if loss <= sign * target)
    return StudyRow(
        name=study.name,
        trials=len(losses),
        complete=states.count("complete"),
        pruned=states.count("pruned"),
        failed=states.count("failed"),
        open=study.open,
        best=sign * best if math.isfinite(best) else None,
        runs_to_target=next(hits, None),
        seconds=math.fsum(trial.seconds or 0.0 for trial in study.trials),
    )


def _reaching(reached: Reached, *, adaptive: bool, timed: bool) -> dict[str, Any]:
    count, hits = len(reached.hits), int(reached.hits.sum())
    low, high = clopper_pearson(hits, count)
    costs = cost_to_hit(reached, adaptive=adaptive)
    if hits and count < LEAST_SEARCHES:
        costs = [dataclasses.replace(cost, low=None, high=None) for cost in costs]
    if adaptive:
        middle = median_runs(reached.costs[:, 0].tolist(), reached.hits.tolist())
    else:
        # The more probable a hit, the fewer runs: the ends change places.
        estimate, least, most = map(geometric_median, (hits / count, high, low))
        middle = Interval(estimate=estimate, low=least, high=most)
    return {
        "hit_probability": Interval(estimate=hits / count, low=low, high=high),
        "runs_to_target": costs[0],
        "seconds_to_target": costs[1] if timed else None,
        "median_runs": middle,
    }


def _curve(
    whole: Sequence[Runs], sign: float, *, adaptive: bool, timed: bool
) -> tuple[BestOf, ...]:
    points = curve(whole, COSTS, adaptive=adaptive)
    ends = ("low", "high") if sign > 0 else ("high", "low")
    return tuple(
        BestOf(
            runs=point.runs,
            val_loss=_signed(point.val_loss, sign),
            median=_signed(point.median, sign),
            low=_signed(getattr(point, ends[0]), sign),
            high=_signed(getattr(point, ends[1]), sign),
            cost=point.cost if timed else {"runs": point.cost["runs"]},
        )
        for point in points
    )


def _signed(value: float | None, sign: float) -> float | None:
    return None if value is None or not math.isfinite(value) else sign * value


def _notes(found: MatchResult) -> list[str]:
    notes = []
    if found.independent:
        notes.append(
            "trials are taken as independent, as asked; for a sampler that learns, such "
            "as TPE, that is wrong: leave --independent out"
        )
    elif found.searches < LEAST_SEARCHES:
        notes.append(
            "how studies of a sampler that may learn vary takes "
            f"{LEAST_SEARCHES} of them, here {found.searches}: no interval; give more "
            "studies, or --independent if the trials were random"
        )
    if not found.hits:
        notes.append("the target was never reached: bounds only")
    pruned = sum(study.pruned for study in found.studies)
    if pruned:
        notes.append(f"{pruned} pruned trials count as runs and reach no target")
    still = sum(study.open for study in found.studies)
    if still:
        notes.append(f"{still} trials have not ended and are left out")
    return notes

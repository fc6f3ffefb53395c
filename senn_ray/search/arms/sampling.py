"""Random and quasi-random search: independent widths, until enough of them are hits.

The places of ``qmc`` are a van der Corput sequence in base 2 (the one-dimensional Sobol
sequence), moved by one random shift that follows from the root seed. A width of either
arm is a function of the root seed and its number alone, so the trials may run side by
side and a resumed job goes on.
"""

import math
import random
from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from senn_ray.core.seeds import derive
from senn_ray.search.arms.arm import Arm, ArmState, RunRequest
from senn_ray.search.plan import Plan, plain
from senn_ray.search.targets import is_hit

SEED_BITS = 63
DRAWS = 100_000
"""Draws that are kept: an arm is asked for all its runs again after each of them."""
Draw = Callable[[Plan, int], int]


def until_hits(state: ArmState, *, draw: Draw) -> list[RunRequest]:
    """List the trials that are needed whatever the open ones will show.

    The arm ends at the first trial with which ``baseline.until_hits`` hits of quality
    at size are reached, in trial order, or at ``baseline.max_trials``. A trial is only
    started when it surely comes before that end, so the set of trials depends neither
    on the order in which they finish nor on how many run side by side.
    """
    baseline, target = state.plan.config.baseline, state.target
    requests, possible_hits = list[RunRequest](), 0
    for trial in range(baseline.max_trials):
        if possible_hits >= baseline.until_hits:
            break
        requests.append(_request(trial, draw(state.plan, trial)))
        record = state.finished.get((0, trial))
        # Until the targets are locked, every trial may be a hit.
        if (
            record is None
            or target is None
            or is_hit(record, target, "quality_at_size")
        ):
            possible_hits += 1
    return requests


def _every_trial(plan: Plan, *, draw: Draw) -> Iterator[tuple[RunRequest, bool]]:
    for trial in range(plan.config.baseline.max_trials):
        request = _request(trial, draw(plan, trial))
        yield request, trial < plan.config.baseline.until_hits


@lru_cache(maxsize=DRAWS)
def _request(trial: int, width: int) -> RunRequest:
    return RunRequest(trial=trial, choice=plain(width))


def random_width(plan: Plan, trial: int) -> int:
    """Draw the width of a trial at random: log-uniform between start width and cap."""
    return _random_width(plan.config.seed, plan.lowest, plan.highest, trial)


@lru_cache(maxsize=DRAWS)
def _random_width(seed: int, lowest: int, highest: int, trial: int) -> int:
    stream = random.Random(derive(seed, "random", "width", trial))
    return _width_at(lowest, highest, stream.random())


def even_width(plan: Plan, trial: int) -> int:
    """Return the width of a trial of a sequence that fills the range evenly."""
    return _even_width(plan.config.seed, plan.lowest, plan.highest, trial)


@lru_cache(maxsize=DRAWS)
def _even_width(seed: int, lowest: int, highest: int, trial: int) -> int:
    shift = derive(seed, "qmc", "shift") / 2**SEED_BITS
    # The binary digits of the number, mirrored at the point: 1, 2, 3 to .1, .01, .11.
    value, digit, rest = 0.0, 0.5, trial
    while rest:
        value += digit * (rest & 1)
        rest, digit = rest >> 1, digit / 2
    return _width_at(lowest, highest, (shift + value) % 1.0)


def _width_at(lowest: int, highest: int, place: float) -> int:
    """Return the width at a place from 0 to below 1, log-uniform over the range."""
    low, high = math.log(lowest), math.log(highest + 1)
    width = math.floor(math.exp(low + place * (high - low)))
    return min(max(width, lowest), highest)


RANDOM = Arm(
    name="random",
    rule="log-uniform integer width; stops at baseline.until_hits hits of "
    "quality_at_size in trial order, or at baseline.max_trials",
    next_runs=partial(until_hits, draw=random_width),
    at_most=partial(_every_trial, draw=random_width),
    stops_at_hits=True,
    settings=frozenset({"max_trials", "until_hits"}),
)
QMC = Arm(
    name="qmc",
    rule="as random, with widths at the places of a shifted van der Corput sequence",
    next_runs=partial(until_hits, draw=even_width),
    at_most=partial(_every_trial, draw=even_width),
    stops_at_hits=True,
    settings=frozenset({"max_trials", "until_hits"}),
)

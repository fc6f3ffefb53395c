"""Forecast: the runs of a job that was not started, and what they would cost.

The state machine of the job decides, as it will; only the runs are imagined. A
*scenario* supposes the width that self-expansion will find (near the least width, in
the middle, near the cap), that plain networks of this width are as good and smaller ones
worse, and a seed. So the arms whose length depends on losses come out short or long as
they would, and the range over all scenarios is the range of the forecast. Only here
runs end in the order in which they began.
"""

import dataclasses
import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from senn_ray.core.events import Event, JobEnded, JobStarted, RunFinished
from senn_ray.core.records import Evaluation, RunRecord, RunSpec
from senn_ray.core.seeds import derive
from senn_ray.search.coordinator import run_job
from senn_ray.search.executor import Report, failed_record
from senn_ray.search.machine import State
from senn_ray.search.plan import Choice, Key, Plan
from senn_ray.service.prices import Length, Prices

NOISE = 0.01
"""Standard deviation of a loss over seeds, relative."""
PENALTY = 0.2
"""Rise of a loss, relative, for every halving of a width below the one that is needed."""
SEEDS = 3
EVALUATIONS = 8
LengthOf = Callable[[RunSpec], Length]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """What is supposed."""

    width: int
    seed: int


def scenarios(plan: Plan) -> list[Scenario]:
    """Choose what to suppose: three widths, several seeds each, the middle first.

    Args:
        plan: The plan of the job.
    """
    low, high = plan.lowest, plan.highest
    middle = round(math.sqrt(low * high))
    near = sorted({min(2 * low, middle), middle, max(high // 4, middle)})
    order = sorted(near, key=lambda width: width != middle)
    return [Scenario(width=w, seed=s) for w in order for s in range(SEEDS)]


def imagine(
    plan: Plan,
    scenario: Scenario,
    prices: Prices,
    length_of: LengthOf,
    *,
    capacity: int,
) -> list[Event]:
    """Carry out a job in imagination.

    Args:
        plan: The plan of the job.
        scenario: What is supposed.
        prices: What runs cost.
        length_of: Tells how long a run is.
        capacity: Runs side by side.

    Returns:
        The journal that it would leave.
    """
    log = _Memory([])
    run_job(
        State(plan=plan, capacity=capacity),
        JobStarted(
            verb=plan.verb,
            config=plan.config.model_dump(mode="json"),
            versions={},
            where="nowhere",
        ),
        executor=_Imagined(
            lambda spec: _record(plan, spec, scenario, prices, length_of(spec)),
            capacity=capacity,
        ),
        journal=log,
        studies=_Guesses(plan, scenario.seed),
        observe=_ignore,
    )
    return log.events


def _record(
    plan: Plan, spec: RunSpec, scenario: Scenario, prices: Prices, length: Length
) -> RunRecord:
    chance = random.Random(derive(scenario.seed, "run", spec.run_id))
    growing = spec.kind == "grow"
    width = _found(plan, scenario, chance) if growing else spec.model.hidden[0]
    lacking = 0.0 if growing else max(math.log2(scenario.width / width), 0.0)
    loss = 1 + PENALTY * lacking + NOISE * chance.gauss(0, 1)
    cost = prices.cost(width, length, growing=growing)
    places = list(_places(spec.cutoffs, loss))
    share = len(places) / EVALUATIONS
    used = dataclasses.replace(
        cost,
        steps=round(cost.steps * share),
        sample_visits=round(cost.sample_visits * share),
        flops=cost.flops * share,
        device_s=cost.device_s * share,
    )
    params = prices.params_at(width)
    return dataclasses.replace(
        failed_record(spec, ""),
        state="complete" if share == 1 else "pruned",
        stop_reason="converged" if growing else "schedule",
        hidden=(width,) * len(spec.model.hidden),
        params=params,
        val_loss=places[-1],
        wall_s=used.device_s / spec.workers,
        cost=used,
        evaluations=tuple(_moment(loss, width, params) for loss in places),
        error=None,
    )


def _found(plan: Plan, scenario: Scenario, chance: random.Random) -> int:
    width = round(scenario.width * math.exp(0.05 * chance.gauss(0, 1)))
    return min(max(width, plan.lowest), plan.highest)


def _places(cutoffs: Sequence[float | None], loss: float) -> Iterator[float]:
    """Yield the losses at the evaluations, until the run is pruned."""
    for place in range(EVALUATIONS):
        now = loss + 0.5 * (1 - (place + 1) / EVALUATIONS)
        yield now
        cutoff = cutoffs[place] if place < len(cutoffs) else None
        if cutoff is not None and now > cutoff:
            return


def _moment(loss: float, width: int, params: int) -> Evaluation:
    return Evaluation(
        step=0,
        sample_visits=0,
        device_s=0.0,
        train_loss=loss,
        val_loss=loss,
        val_accuracy=None,
        lr=0.0,
        hidden=(width,),
        params=params,
    )


class _Imagined:
    """An executor whose runs are over at once."""

    where = "nowhere"

    def __init__(self, run: Callable[[RunSpec], RunRecord], *, capacity: int) -> None:
        self.capacity = capacity
        self._run = run
        self._waiting: deque[RunSpec] = deque()

    def submit(self, spec: RunSpec) -> None:
        self._waiting.append(spec)

    def wait(self) -> list[Report]:
        if not self._waiting:
            return []
        return [RunFinished(record=self._run(self._waiting.popleft()))]

    def close(self) -> None:
        self._waiting.clear()


class _Guesses:
    """Studies that propose at random: a forecast knows no losses to learn from."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self._plan = plan
        self._seed = seed

    def ask(self, key: Key) -> Choice:
        chance = random.Random(derive(self._seed, key.run_id))
        low, high = math.log(self._plan.lowest), math.log(self._plan.highest)
        width = round(math.exp(chance.uniform(low, high)))
        if key.arm != "tpe_full":
            return Choice(hidden=(width,))
        train, depth = self._plan.config.train, self._plan.config.baseline.full_depth
        return Choice(
            hidden=(width,) * chance.randint(1, depth),
            lr=train.lr,
            weight_decay=train.weight_decay,
        )

    def tell(self, key: Key, record: RunRecord) -> None:
        del key, record


@dataclass(frozen=True)
class _Memory:
    events: list[Event]

    def append(self, event: Event) -> None:
        self.events.append(event)


def _ignore(event: Event | JobEnded) -> None:
    del event

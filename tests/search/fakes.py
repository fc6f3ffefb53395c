"""A world without training: losses follow from width and seed, by a known law."""

import dataclasses
import math
import random
from collections.abc import Callable, Sequence

from senn_ray.config import Config
from senn_ray.core.events import Event, JobStarted, RunFinished
from senn_ray.core.records import (
    Cost,
    Evaluation,
    Progress,
    Rung,
    RunRecord,
    RunSpec,
)
from senn_ray.search.arms import selectable
from senn_ray.search.executor import Report
from senn_ray.search.plan import Choice, Key, plain
from tests.search.executor_suite import make_record

SELF_FOUND = 24
EVALUATIONS = 4
GUESS = 2.3
"""Loss of the constant predictor."""
EVERY_ARM = tuple(selectable())


def make_config(**baseline: object) -> Config:
    """Settings of a small comparison."""
    sections = {
        "baseline": {"max_trials": 12, "until_hits": 3, "studies": 2} | baseline,
        "compare": {"seeds": 5, "retrain_seeds": 2},
        "model": {"max_hidden": 128},
    }
    return Config.model_validate(sections)


def fake_run(
    spec: RunSpec, on_progress: Callable[[Progress], None] | None = None
) -> RunRecord:
    """Train in no time: the loss falls with the width, and the seed adds noise."""
    del on_progress
    noise = random.Random(spec.seed).gauss(0, 0.01)
    growing = spec.kind == "grow"
    width = SELF_FOUND + spec.trial % 3 - 1 if growing else spec.model.hidden[0]
    width = spec.shrink_to[0] if spec.shrink_to else width
    loss = 0.1 + 0.5 / width + noise
    first = EVALUATIONS - 1 if growing else 0
    moments = tuple(_moment(width, loss, n) for n in range(first, EVALUATIONS))
    kept = moments[: _last(spec, moments) + 1]
    pruned = len(kept) < len(moments)
    ended = "pruned" if pruned else "converged" if growing else "schedule"
    record = dataclasses.replace(
        make_record(spec),
        state="pruned" if pruned else "complete",
        stop_reason=ended,
        hidden=(width,) * len(spec.model.hidden),
        params=75 * width + 10,
        val_loss=kept[-1].val_loss,
        test_loss=loss + 0.01 if spec.evaluate_test else None,
        test_accuracy=0.9 if spec.evaluate_test else None,
        cost=Cost(
            steps=kept[-1].step,
            sample_visits=kept[-1].sample_visits,
            flops=1e3 * width,
            device_s=kept[-1].device_s,
            growth_s=5.0 if growing else 0.0,
        ),
        evaluations=kept,
        lr=spec.train.lr,
        weight_decay=spec.train.weight_decay,
    )
    return record if growing or spec.front is None else walked(record, noise)


def walked(record: RunRecord, noise: float, excess: float = 0.0) -> RunRecord:
    """Walk a network down by halves: each rung costs a fifth of what was before it.

    Args:
        record: Of a run that has ended with one network: the first rung.
        noise: What all losses of the run have in common.
        excess: What they are higher than by law.
    """
    width, count = record.hidden[0], record.hidden[0].bit_length()
    rungs = tuple(
        _rung(record, max(width >> n, 1), 1 + 0.2 * n, noise + excess)
        for n in range(count)
    )
    spent = rungs[-1]
    return dataclasses.replace(
        record,
        front=rungs,
        found=0,
        guess_val_loss=GUESS,
        val_loss=rungs[0].val_loss,
        cost=dataclasses.replace(
            record.cost,
            steps=spent.steps,
            sample_visits=spent.sample_visits,
            flops=spent.flops_spent,
            device_s=spent.device_s,
        ),
    )


def _rung(record: RunRecord, width: int, spent: float, shift: float) -> Rung:
    cost = record.cost
    return Rung(
        hidden=(width,),
        params=75 * width + 10,
        flops=150 * width,
        val_loss=0.1 + 0.5 / width + shift,
        val_accuracy=0.9,
        gap=0.0,
        gap_se=0.0,
        steps=round(cost.steps * spent),
        sample_visits=round(cost.sample_visits * spent),
        flops_spent=cost.flops * spent,
        device_s=cost.device_s * spent,
    )


def _moment(width: int, loss: float, place: int) -> Evaluation:
    share = (place + 1) / EVALUATIONS
    return Evaluation(
        step=round(10 * width * share),
        sample_visits=round(100 * width * share),
        device_s=width * share,
        train_loss=loss / 2,
        val_loss=loss + 0.1 * (1 - share),
        val_accuracy=0.9,
        lr=0.1,
        hidden=(width,),
        params=75 * width + 10,
    )


def _last(spec: RunSpec, moments: Sequence[Evaluation]) -> int:
    """Tell at which evaluation a run is pruned, or its last one."""
    for place, cutoff in enumerate(spec.cutoffs):
        if cutoff is not None and moments[place].val_loss > cutoff:
            return place
    return len(moments) - 1


def halving(key: Key) -> Choice:
    """Propose widths by halves; the full search varies more."""
    width = max(2, 128 >> key.trial)
    if key.arm != "tpe_full":
        return plain(width)
    depth = 1 + key.trial % 2
    return Choice(hidden=(width,) * depth, lr=0.01 / depth, weight_decay=0.5)


class ShuffledExecutor:
    """Finish runs in an order that ``choose`` picks among those in flight."""

    where = "a test"

    def __init__(
        self,
        capacity: int,
        choose: Callable[[int], int],
        run: Callable[[RunSpec], RunRecord] = fake_run,
    ) -> None:
        self.capacity = capacity
        self.most_in_flight = 0
        self.submitted: list[RunSpec] = []
        self._choose = choose
        self._run = run
        self._in_flight: list[RunSpec] = []

    def submit(self, spec: RunSpec) -> None:
        self.submitted.append(spec)
        self._in_flight.append(spec)
        self.most_in_flight = max(self.most_in_flight, len(self._in_flight))

    def wait(self) -> list[Report]:
        if not self._in_flight:
            return []
        spec = self._in_flight.pop(self._choose(len(self._in_flight)))
        return [RunFinished(record=self._run(spec))]

    def close(self) -> None:
        self._in_flight.clear()


class FakeStudies:
    """Propose widths by halves; remember what was told."""

    def __init__(self) -> None:
        self.told: dict[Key, RunRecord] = {}

    def ask(self, key: Key) -> Choice:
        place = (key.arm, key.study)
        before = [k for k in self.told if (k.arm, k.study) == place]
        assert len(before) == key.trial, "one trial in flight per study"
        return halving(key)

    def tell(self, key: Key, record: RunRecord) -> None:
        assert key not in self.told
        self.told[key] = record


class MemoryJournal:
    """Keep events in a list."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def append(self, event: Event) -> None:
        self.events.append(event)


def started(config: Config, verb: str) -> JobStarted:
    return JobStarted(
        verb=verb,
        config=config.model_dump(mode="json"),
        versions={"senn-ray": "0"},
        where="a test",
    )


def finite_loss(record: RunRecord) -> float:
    assert record.val_loss is not None
    assert math.isfinite(record.val_loss)
    return record.val_loss

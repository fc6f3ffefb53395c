"""A gang that loses replicas ends as if it had not."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from senn_ray.core.errors import DisagreementError
from senn_ray.core.records import RunRecord
from senn_ray.runs.run import prepare, train_run
from senn_ray.training import recovery
from senn_ray.training.reducer import Reducer
from tests.training.mortals import run_mortal
from tests.training.problems import rings, spec
from tests.training.threads import run_threaded

RAW = rings()
SHORT = spec(train__min_steps=120, train__evaluations=6, front__rung_steps=6)


def grow(reducer: Reducer) -> RunRecord:
    return train_run(SHORT, RAW, reducer=reducer)


def timeless(record: RunRecord) -> RunRecord:
    """Leave out seconds, which differ between any two runs."""
    evaluations = tuple(replace(e, device_s=0.0) for e in record.evaluations)
    cost = replace(record.cost, device_s=0.0, growth_s=0.0, wasted_device_s=0.0)
    front = tuple(replace(rung, device_s=0.0) for rung in record.front)
    return replace(
        record,
        evaluations=evaluations,
        front=front,
        cost=cost,
        wall_s=0.0,
        started_utc_s=0.0,
    )


@pytest.fixture(scope="module")
def undisturbed() -> tuple[list[RunRecord], list[int]]:
    return run_mortal(2, grow, deaths=[])


def moments(messages: int) -> Iterator[list[tuple[int, int]]]:
    """The first message, the last one, some at random, and two deaths of one run."""
    chance = random.Random(0)
    yield [(0, 1)]
    yield [(1, messages)]
    for _ in range(4):
        yield [(chance.randrange(2), chance.randrange(2, messages))]
    yield [(0, messages // 3), (1, messages // 2)]
    yield [(0, messages // 2), (0, messages // 2 + 1)]


@pytest.mark.slow
def test_a_replica_lost_at_any_moment_changes_nothing(undisturbed) -> None:
    """Most of the messages belong to surgery: these deaths fall in the midst of it."""
    records, messages = undisturbed
    expected = [timeless(record) for record in records]
    assert expected[0].front[0].hidden[0] > 3
    assert len(expected[0].front) > 3
    for deaths in moments(min(messages)):
        disturbed, _ = run_mortal(2, grow, deaths=deaths)
        assert [timeless(record) for record in disturbed] == expected, deaths


def test_lost_work_is_counted_apart(undisturbed) -> None:
    records, messages = undisturbed
    (first, _), _ = run_mortal(2, grow, deaths=[(1, min(messages) // 2)])
    assert records[0].cost.wasted_device_s == 0
    assert first.cost.wasted_device_s > 0
    assert first.cost.steps == records[0].cost.steps


def test_a_gang_that_shrinks_grows_the_same_network(undisturbed) -> None:
    records, messages = undisturbed
    (left,), _ = run_mortal(2, grow, deaths=[(0, min(messages) // 2)], replaces=False)
    assert left.hidden == records[0].hidden
    assert left.workers == 1
    assert left.val_loss == pytest.approx(records[0].val_loss, rel=1e-2)


def test_replicas_that_differ_are_named_with_what_differs() -> None:
    def differ(reducer: Reducer) -> str:
        run = prepare(SHORT, RAW, reducer=reducer, device="cpu")
        recovery.verify(run)
        with torch.no_grad():
            run.net.tensors()[0][0, 0] += float(reducer.rank == 2)
        run.optimizer.state()["first"][0][0, 0] += float(reducer.rank == 1)
        with pytest.raises(DisagreementError) as raised:
            recovery.verify(run)
        return str(raised.value)

    told = run_threaded(3, differ)
    assert len(set(told)) == 1
    assert "before step 0: parameters of rank 2; optimiser state of rank 1" in told[0]


@pytest.mark.parametrize(
    ("hashes", "odd"),
    [
        ("aaa", []),
        ("aba", [1]),
        ("abb", [0]),
        ("ab", [1]),
        ("abac", [1, 3]),
    ],
)
def test_the_few_are_the_odd_ones(hashes: str, odd: list[int]) -> None:
    assert recovery.odd_ones([(ord(h),) for h in hashes]) == odd

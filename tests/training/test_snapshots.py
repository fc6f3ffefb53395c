"""A run that goes on from its state is the run it would have been."""

from dataclasses import replace

import pytest

from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.runs.loop import train
from senn_ray.runs.run import prepare, train_run
from senn_ray.training.reducer import Reducer, SingleReducer
from senn_ray.training.run_state import RunState
from senn_ray.training.schedule import Descent
from senn_ray.training.snapshots import (
    State,
    digests,
    from_bytes,
    live_state,
    restore,
    snapshot,
    to_bytes,
)
from tests.training.problems import rings, schedule_of, spec
from tests.training.threads import run_threaded

RAW = rings()
SHORT = spec(train__min_steps=150, train__evaluations=10, front__rung_steps=8)


class _StoppedError(Exception):
    """Stands for whatever ends a process."""


def fresh(reducer: Reducer, settings: RunSpec = SHORT) -> RunState:
    return prepare(settings, RAW, reducer=reducer, device="cpu")


def finish(run: RunState) -> State:
    train(run, schedule_of(run), None)
    return live_state(run)


def stop_before(run: RunState, step: int) -> bytes:
    """Train up to a step and give the state as it would be on disk."""

    def stop(at: RunState) -> None:
        if at.step == step:
            raise _StoppedError

    with pytest.raises(_StoppedError):
        train(run, schedule_of(run), None, before_step=stop)
    return to_bytes(snapshot(run))


def continued(run: RunState, data: bytes) -> State:
    restore(run, from_bytes(data))
    return finish(run)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "natural"])
def test_a_run_interrupted_at_any_step_ends_bitwise_the_same(optimizer: str) -> None:
    settings = replace(
        SHORT, train=SHORT.train.model_copy(update={"optimizer": optimizer})
    )
    alone = SingleReducer()
    undisturbed = finish(fresh(alone, settings))
    assert undisturbed["trace"]["checks"] >= 2
    descent, end = undisturbed["trace"]["descent"]["start"], undisturbed["step"]
    assert len(undisturbed["front"]) > 3
    # Before and after the first check; when the trunk ends, and around it; in a rung,
    # before and after one ends, and at the last step of all.
    walk = (descent - 1, descent, descent + 1, descent + 5)
    for step in (0, 1, 25, 26, *walk, descent + 8, descent + 9, descent + 16, end):
        data = stop_before(fresh(alone, settings), step)
        again = continued(fresh(alone, settings), data)
        assert digests(again) == digests(undisturbed), step
        assert without_seconds(again) == without_seconds(undisturbed)


def test_weight_decay_goes_with_the_run() -> None:
    first, second = fresh(SingleReducer()), fresh(SingleReducer())
    first.weight_decay = 0.37
    assert digests(live_state(first)) != digests(live_state(second))
    restore(second, from_bytes(to_bytes(snapshot(first))))
    assert second.weight_decay == 0.37
    assert digests(live_state(first)) == digests(live_state(second))


def without_seconds(state: State) -> list[dict[str, object]]:
    return [{**e, "device_s": None} for e in state["trace"]["evaluations"]]


@pytest.mark.slow
def test_a_gang_interrupted_at_any_step_ends_bitwise_the_same() -> None:
    undisturbed = run_threaded(2, lambda reducer: digests(finish(fresh(reducer))))
    for step in (26, 101, 117):

        def interrupted(reducer: Reducer, step: int = step) -> dict[str, bytes]:
            data = stop_before(fresh(reducer), step)
            return digests(continued(fresh(reducer), data))

        assert run_threaded(2, interrupted) == undisturbed


def test_a_state_is_a_copy() -> None:
    run = fresh(SingleReducer())
    data = stop_before(run, 60)
    kept = snapshot(run)
    before = digests(kept)
    first = continued(run, data)
    assert digests(kept) == before
    restore(run, kept)
    assert digests(finish(run)) == digests(first)


def test_costs_go_on_where_they_were() -> None:
    whole: RunRecord = train_run(SHORT, RAW)
    data = stop_before(fresh(SingleReducer()), 60)
    cost = continued(fresh(SingleReducer()), data)["ledger"]
    assert cost["steps"] == whole.cost.steps
    # A record also counts the looks after the run: the front at the validation
    # examples, the best rung once more, and the found one at the training examples.
    assert whole.n_val is not None
    looks = whole.n_train + (1 + len(whole.front)) * whole.n_val
    assert cost["sample_visits"] == whole.cost.sample_visits - looks
    assert cost["device_s"] > from_bytes(data)["ledger"]["device_s"]


def test_the_parts_of_a_state_are_told_apart() -> None:
    run = fresh(SingleReducer())
    before = digests(live_state(run))
    run.trace.descent = Descent(7, 3)
    after = digests(live_state(run))
    assert [name for name in before if before[name] != after[name]] == ["decisions"]

"""The laws of a whole run."""

import copy
import math
from pathlib import Path

import pytest

from senn_ray.config import FrontConfig
from senn_ray.core.records import Progress, RunRecord
from senn_ray.growth.checks import check_growth
from senn_ray.runs.loop import train, train_step
from senn_ray.runs.run import prepare, train_run
from senn_ray.training import checkpoints
from senn_ray.training.evaluate import evaluate
from senn_ray.training.reducer import Reducer, SingleReducer
from senn_ray.training.run_state import RunState
from tests.training.problems import rings, schedule_of, spec, tensors_equal, waves
from tests.training.threads import run_threaded

RAW = rings()


@pytest.fixture(scope="module")
def grown() -> RunRecord:
    return train_run(spec(evaluate_test=True), RAW)


def test_a_run_grows_learns_and_says_why_it_stopped(grown: RunRecord) -> None:
    assert grown.state == "complete"
    assert grown.hidden[0] > 2
    assert grown.test_accuracy is not None
    assert grown.test_accuracy > 0.9
    assert grown.stop_reason in {"converged", "budget"}
    assert grown.params == 9 * grown.hidden[0] + 3 * (grown.hidden[0] + 1)


def test_the_record_adds_up(grown: RunRecord) -> None:
    width = 2
    for event in grown.expansions:
        assert event.hidden_before == (width,)
        width += {"widen": 1, "prune": -1, "rejected": 0}[event.kind]
        assert event.hidden_after == (width,)
    assert grown.hidden == (width,)
    # It may be annealed as soon as growth has ended.
    assert grown.cost.steps <= 300
    assert 0 < grown.cost.growth_s < grown.cost.device_s
    assert grown.val_loss is not None
    # Growth changes the best network alike: its loss stays the same.
    least = min(e.val_loss for e in grown.evaluations)
    assert abs(grown.val_loss - least) <= 1e-6
    (only,) = grown.front
    assert (only.val_loss, only.params, only.hidden) == (
        grown.val_loss,
        grown.params,
        grown.hidden,
    )
    assert (grown.found, only.gap, only.gap_se) == (0, 0.0, 0.0)


def test_accepted_proposals_pass_every_threshold_and_rejected_ones_fail_one(
    grown: RunRecord,
) -> None:
    growth = spec().growth
    opened, on_trial = -1, 0
    for event in grown.expansions:
        assert event.heldout_gain is not None
        assert event.heldout_z is not None
        assert event.relative_gain is not None
        above = event.heldout_gain > 2 * growth.absolute_threshold
        sure = (
            event.heldout_z >= growth.significance
            and event.relative_gain > growth.relative_threshold
        )
        # The first neuron of a check is sure; after it others come on trial.
        passed = above and (sure or opened == event.step)
        assert passed == (event.kind == "widen")
        on_trial += passed and not sure
        opened = event.step if passed else opened
    assert on_trial > 0


def test_the_same_seed_repeats_a_run_bit_for_bit_and_another_does_not(
    grown: RunRecord,
) -> None:
    again = train_run(spec(evaluate_test=True), RAW)
    assert again.checksum == grown.checksum
    assert again.expansions == grown.expansions
    assert train_run(spec(seed=1), RAW).checksum != grown.checksum


@pytest.mark.parametrize("optimizer", ["adamw", "natural"])
def test_checks_that_reject_everything_leave_training_bitwise_alone(
    optimizer: str,
) -> None:
    plain = train_run(spec(kind="fixed", train__optimizer=optimizer), RAW)
    off = train_run(spec(growth__enabled=False, train__optimizer=optimizer), RAW)
    rejecting = train_run(
        spec(growth__significance=math.inf, train__optimizer=optimizer),
        RAW,
    )
    assert rejecting.checks > 0
    assert plain.checksum == off.checksum == rejecting.checksum
    assert [e.val_loss for e in plain.evaluations] == [
        e.val_loss for e in rejecting.evaluations
    ]
    assert plain.stop_reason == off.stop_reason == "schedule"


def test_natural_steps_grow_and_learn_too() -> None:
    record = train_run(
        spec(train__optimizer="natural", train__lr=0.1, evaluate_test=True), RAW
    )
    assert record.hidden[0] > 2
    assert record.test_accuracy is not None
    assert record.test_accuracy > 0.9


def test_two_hidden_layers_grow() -> None:
    record = train_run(
        spec(model__hidden=(2, 2), evaluate_test=True, train__min_steps=400), RAW
    )
    assert {e.site for e in record.expansions if e.kind == "widen"} == {0, 1}
    assert record.test_accuracy is not None
    assert record.test_accuracy > 0.85


def test_regression_grows_to_the_noise() -> None:
    record = train_run(
        spec(
            train__min_steps=1500,
            train__weight_decay=0.0,
        ),
        waves(),
    )
    assert record.hidden[0] > 3
    assert record.val_accuracy is None
    assert record.val_loss is not None
    assert record.val_loss < 2 * 0.5 * 0.1**2


def test_the_cap_is_kept_and_reported() -> None:
    record = train_run(spec(model__max_hidden=4), RAW)
    assert record.hidden == (4,)
    assert record.stop_reason == "cap_hit"


@pytest.mark.parametrize("size", [2, 3])
def test_gangs_of_any_size_grow_the_same_network(size: int) -> None:
    def grow(reducer: Reducer) -> RunState:
        run = prepare(short, RAW, reducer=reducer, device="cpu")
        train(run, schedule_of(run), None)
        return run

    short = spec(train__min_steps=100, front__rung_steps=3)
    alone = grow(SingleReducer())
    gang = run_threaded(size, grow)
    assert alone.front[0].architecture().hidden[0] > 2
    assert len(alone.front) > 3
    for run in gang:
        assert [e.hidden_after for e in run.trace.expansions] == [
            e.hidden_after for e in alone.trace.expansions
        ]
        # Members agree bit for bit; gangs of other sizes sum in another order.
        assert tensors_equal(run.net.tensors(), gang[0].net.tensors())
        for own, other in zip(run.net.tensors(), alone.net.tensors(), strict=True):
            assert (own - other).norm() < 1e-4 * other.norm()


def test_a_diverging_run_is_recorded_not_raised() -> None:
    record = train_run(spec(train__lr=1e30), RAW)
    assert record.state == "diverged"
    assert record.val_loss is None
    assert record.error is not None
    assert "lower train.lr" in record.error


def test_the_final_network_is_on_disk_as_plain_tensors(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.pt"
    record = train_run(spec(train__min_steps=60, checkpoint=str(path)), RAW)
    net = checkpoints.load_network(path)
    assert net.architecture().hidden == record.hidden
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("walks", [True, False])
def test_progress_is_told_at_every_evaluation(*, walks: bool) -> None:
    seen: list[Progress] = []
    settings = spec(train__min_steps=60, front=FrontConfig() if walks else None)
    record = train_run(settings, RAW, on_progress=seen.append)
    assert [p.step for p in seen] == [e.step for e in record.evaluations]
    assert seen[-1].max_steps == record.cost.steps
    assert seen[-1].rungs == len(record.front)
    assert (len(record.front) > 1) == walks
    counts = [p.rungs for p in seen]
    assert counts == sorted(counts)
    assert {p.phase for p in seen} == {"trunk", "descent"}
    assert all(p.rungs == 0 for p in seen if p.phase == "trunk")


def test_the_best_network_lives_through_growth() -> None:
    """Growth leaves its function as it is."""
    run = prepare(spec(), RAW, reducer=SingleReducer(), device="cpu")
    for step in range(20):
        train_step(run, step, 0.01)
    best = run.best = copy.deepcopy(run.net)
    for step in range(20, 40):
        train_step(run, step, 0.01)
    before = evaluate(run, best, run.val)
    check_growth(run, 40)
    assert run.hidden[0] > 2
    assert best.architecture() == run.net.architecture()
    assert evaluate(run, best, run.val) == before

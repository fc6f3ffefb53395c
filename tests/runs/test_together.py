"""Runs that are trained together end as they would have ended alone."""

import dataclasses
import time

import pytest
import torch

from senn_ray.core.records import Progress, RunRecord, RunSpec
from senn_ray.runs import loop, together
from senn_ray.runs.run import train_run, train_together
from tests.training.problems import rings, spec, waves

RAW = rings()


def seeds(count: int, **changes: object) -> list[RunSpec]:
    base = spec(kind="fixed", evaluate_test=True, **changes)
    return [
        dataclasses.replace(base, run_id=f"run-{seed}", trial=seed, seed=seed)
        for seed in range(count)
    ]


def timeless(record: RunRecord) -> RunRecord:
    """Leave out what a clock tells."""
    return dataclasses.replace(
        record,
        wall_s=0.0,
        started_utc_s=0.0,
        cost=dataclasses.replace(record.cost, device_s=0.0),
        evaluations=tuple(
            dataclasses.replace(e, device_s=0.0) for e in record.evaluations
        ),
    )


def assert_alike(specs: list[RunSpec], raw=RAW) -> list[RunRecord]:
    records = train_together(specs, raw)
    expected = [timeless(train_run(one, raw)) for one in specs]
    assert [timeless(record) for record in records] == expected
    return records


def test_records_are_those_of_each_run_alone_bit_for_bit() -> None:
    records = assert_alike(seeds(3, model__hidden=(7,)))
    assert len({record.checksum for record in records}) == 3
    assert {record.state for record in records} == {"complete"}


@pytest.mark.parametrize("activation", ["rational", "tanh"])
def test_depth_and_nonlinearities_with_parameters_are_no_exception(activation) -> None:
    assert_alike(seeds(2, model__hidden=(5, 9), model__activation=activation))


def test_runs_on_different_subsets_are_no_exception() -> None:
    data = spec().data.model_copy(update={"per_class": 20})
    specs = [
        dataclasses.replace(one, data=data.model_copy(update={"subset_seed": one.seed}))
        for one in seeds(3, model__hidden=(4,))
    ]
    assert_alike(specs)


def test_regression_in_double_precision_is_no_exception() -> None:
    assert_alike(seeds(2, train__precision="float64"), waves())


def test_several_threads_are_no_exception() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert_alike(
            seeds(2, model__hidden=(130,), train__min_steps=20, train__max_steps=20)
        )
    finally:
        torch.set_num_threads(before)


def test_a_run_that_diverges_is_left_behind_and_the_others_do_not_notice(
    monkeypatch,
) -> None:
    honest = loop.check_finite

    def sometimes(replica, step: int, mean_loss: float) -> None:
        poisoned = replica.spec.seed == 1 and step == 30
        honest(replica, step, float("nan") if poisoned else mean_loss)

    monkeypatch.setattr(loop, "check_finite", sometimes)
    monkeypatch.setattr(together, "check_finite", sometimes)
    records = assert_alike(seeds(3))
    assert [record.state for record in records] == ["complete", "diverged", "complete"]
    assert "loss became nan at step 30" in (records[1].error or "")


def test_all_may_diverge() -> None:
    records = assert_alike(seeds(2, train__lr=1e30))
    assert {record.state for record in records} == {"diverged"}


def test_the_seconds_of_a_unit_are_divided_among_its_runs() -> None:
    began = time.perf_counter()
    records = train_together(seeds(4), RAW)
    took = time.perf_counter() - began
    shares = [record.cost.device_s for record in records]
    assert took / 2 < sum(shares) <= took
    assert max(shares) < 1.5 * min(shares)
    assert all(record.wall_s > 2 * record.cost.device_s for record in records)


def test_every_run_tells_of_every_evaluation() -> None:
    told: list[Progress] = []
    specs = seeds(2)
    records = train_together(specs, RAW, on_progress=told.append)
    for record in records:
        steps = [p.step for p in told if p.run_id == record.run_id]
        assert steps == [e.step for e in record.evaluations]

"""Arms that prune a wide network: what they train, and that none of it is chosen."""

import pytest

from senn_ray.core.events import RunFinished, TestOpened
from senn_ray.core.records import RunSpec
from senn_ray.search.arms import find
from senn_ray.search.coordinator import run_job
from senn_ray.search.machine import State
from senn_ray.search.plan import CONFIRM, WIDE_MAGNITUDE, WIDE_PRUNE, Plan
from senn_ray.search.planned import planned_runs
from senn_ray.search.protocol import freeze
from senn_ray.search.run_requests import requests_of
from senn_ray.search.specs import fixed_spec
from tests.search.fakes import (
    FakeStudies,
    MemoryJournal,
    ShuffledExecutor,
    make_config,
    started,
)

ARMS = (WIDE_PRUNE, WIDE_MAGNITUDE)


def specs_of(name: str, **baseline: object) -> list[RunSpec]:
    plan = Plan(verb="compare", config=make_config(**baseline))
    requests = requests_of(find(name), plan, {}, None)
    return [
        fixed_spec(plan, key, request.choice)
        for key, request in requests.items()
        if request.choice
    ]


def test_a_wide_network_is_walked_down_as_growing_runs_are() -> None:
    config = make_config()
    specs = specs_of(WIDE_PRUNE)
    assert len(specs) == config.baseline.repeats
    for spec in specs:
        assert (spec.kind, spec.model.hidden) == ("fixed", (128,))
        assert spec.front == config.front
        assert not spec.growth.enabled
        assert not spec.shrink_to


def test_a_wide_network_is_shrunk_to_every_doubled_width_each_time_anew() -> None:
    specs = specs_of(WIDE_MAGNITUDE, repeats=2)
    for repeat in range(2):
        own = [spec for spec in specs if spec.study == repeat]
        assert [s.shrink_to for s in own] == [(2,), (4,), (8,), (16,), (32,), (64,), ()]
        assert {s.model.hidden for s in own} == {(128,)}
        assert all(spec.front is None for spec in own)
    assert len({spec.seed for spec in specs}) == len(specs)


@pytest.mark.parametrize(("wide", "start"), [(32, 32), (48, 48), (4096, 128), (1, 2)])
def test_the_start_is_no_wider_than_the_cap_and_no_narrower_than_growth(
    wide: int, start: int
) -> None:
    for name in ARMS:
        assert {s.model.hidden for s in specs_of(name, wide=wide)} == {(start,)}
    finals = [
        s.shrink_to or s.model.hidden for s in specs_of(WIDE_MAGNITUDE, wide=wide)
    ]
    assert max(finals) == (start,)
    assert min(finals) == (2,)


def test_their_runs_are_measured_themselves_and_none_is_trained_again() -> None:
    config = make_config(arms=ARMS)
    journal = MemoryJournal()
    plan = Plan(verb="compare", config=config)
    run_job(
        State(plan=plan, capacity=3),
        started(config, "compare"),
        executor=ShuffledExecutor(3, lambda _: 0),
        journal=journal,
        studies=FakeStudies(),
        observe=lambda _: None,
    )
    records = [e.record for e in journal.events if isinstance(e, RunFinished)]
    opened = [e.run_ids for e in journal.events if isinstance(e, TestOpened)]
    for record in records:
        if record.arm in ARMS:
            assert record.test_loss is not None
            assert any(record.run_id in ids for ids in opened)
    # The plain network of the self-found width, and nothing else.
    again = [record for record in records if record.arm == CONFIRM]
    assert len(again) == config.compare.retrain_seeds
    planned = [run for run in planned_runs(plan) if run.arm == CONFIRM]
    assert len(planned) == config.compare.retrain_seeds


def test_the_protocol_names_their_rules_and_the_reference_point() -> None:
    protocol = freeze(Plan(verb="compare", config=make_config()), data_sha256="")
    assert "removal cost" in protocol["rules"][WIDE_PRUNE]
    assert "smallest weights" in protocol["rules"][WIDE_MAGNITUDE]
    assert protocol["widths"]["wide"] == 128
    assert protocol["hypervolume"]["reference"]["units"] == 128
    assert "constant predictor" in protocol["rules"]["hypervolume"]

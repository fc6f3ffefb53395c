"""Sharing work over a gang changes who does it, and nothing else."""

import pytest

from senn_ray.growth.candidates import is_cheaper
from senn_ray.runs.run import train_run
from senn_ray.training import natural
from senn_ray.training.natural import assign
from tests.training.problems import rings, spec
from tests.training.threads import run_threaded


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_dividing_candidates_grows_what_dividing_examples_grows(size: int) -> None:
    raw = rings()
    records = {}
    for share in ("examples", "candidates"):
        run_spec = spec(
            train__min_steps=100, train__precision="float64", growth__share=share
        )
        members = run_threaded(
            size,
            lambda reducer, run_spec=run_spec: train_run(
                run_spec, raw, reducer=reducer
            ),
        )
        assert len({record.checksum for record in members}) == 1
        records[share] = members[0]
    one, other = records["examples"], records["candidates"]
    assert one.hidden[0] > 2
    assert one.hidden == other.hidden
    assert one.val_loss == pytest.approx(other.val_loss, rel=1e-9)


def test_large_factors_are_made_once_and_are_the_same(monkeypatch) -> None:
    raw = rings()
    run_spec = spec(
        kind="fixed",
        train__optimizer="natural",
        train__min_steps=40,
        train__precision="float64",
        model__hidden=(12,),
    )
    apart = run_threaded(2, lambda r: train_run(run_spec, raw, reducer=r))
    monkeypatch.setattr(natural, "SHARED_ABOVE", 4)
    shared = run_threaded(2, lambda r: train_run(run_spec, raw, reducer=r))
    assert shared[0].checksum == shared[1].checksum
    assert shared[0].checksum == apart[0].checksum


def test_the_dearest_things_are_spread_over_the_gang() -> None:
    ranks = assign([8.0, 1.0, 7.0, 1.0, 1.0], 2)
    loads = [sum(c for c, r in zip([8, 1, 7, 1, 1], ranks, strict=True) if r == k)
             for k in (0, 1)]  # fmt: skip
    assert sorted(loads) == [9, 9]
    assert assign([1.0, 2.0], 1) == [0, 0]


def test_a_large_message_is_dearer_than_a_few_small_ones() -> None:
    assert is_cheaper(10_000, messages=20)
    assert not is_cheaper(100_000_000, messages=20)

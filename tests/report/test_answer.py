"""The answer in words: its numbers are those of the summary, losses included."""

import dataclasses

import pytest

from senn_ray.analysis.results import Caveat, Interval, Weight
from senn_ray.report.answer import MOST_CAVEATS, answer, foremost
from tests.analysis.test_summary import RESULT


def changed(arm: str, *, hits: int, runs: Interval, saved: Interval):
    """Return a comparison in which an arm did so at size."""
    name = "quality_at_size"
    row = dataclasses.replace(
        RESULT.arms[name][arm],
        hits=hits,
        runs=32,
        best_val_loss=0.2,
        cost_to_hit={"runs": runs},
    )
    return dataclasses.replace(
        RESULT,
        arms={**RESULT.arms, name: {**RESULT.arms[name], arm: row}},
        restarts_saved={
            **RESULT.restarts_saved,
            name: {**RESULT.restarts_saved[name], arm: saved},
        },
    )


BOUND = Interval(estimate=None, low=11.0, high=None, bound=True)
SAVED = Interval(estimate=None, low=8.2, high=None, bound=True)


def test_an_arm_without_a_hit_is_told_with_its_runs_and_the_bound() -> None:
    said = " ".join(answer(changed("random", hits=0, runs=BOUND, saved=SAVED)))
    assert "random never found one" in said or "random and" in said
    assert "32" in said
    assert "Restarts saved by growing: random ≥ 8.2" in said


def test_a_bound_that_says_nothing_is_not_told_as_a_saving() -> None:
    nothing = dataclasses.replace(SAVED, low=-1.2)
    said = " ".join(answer(changed("random", hits=0, runs=BOUND, saved=nothing)))
    assert "random ≥ -1.2" not in said


def test_an_arm_that_hits_is_told_with_its_expected_runs() -> None:
    runs = Interval(estimate=3.6, low=2.1, high=7.3)
    said = " ".join(answer(changed("random", hits=9, runs=runs, saved=SAVED)))
    assert "random 3.6 [2.1, 7.3]" in said


def test_a_smaller_fixed_size_that_is_as_good_is_said_to_be_smaller() -> None:
    size = RESULT.size
    assert size.senn is not None
    least = dataclasses.replace(size.senn, hidden=(1,), estimate=1)
    block = dataclasses.replace(size, smallest_sufficient=least)
    said = " ".join(answer(dataclasses.replace(RESULT, size=block)))
    assert "A fixed network of 1 units is as good, and smaller" in said


@pytest.mark.parametrize("count", [0, 3, MOST_CAVEATS + 1, 12])
@pytest.mark.parametrize("weight", ["decisive", "note"])
def test_no_caveat_is_lost_and_few_come_first(count: int, weight: Weight) -> None:
    caveats = [Caveat(weight=weight, text=f"c{i}") for i in range(count)]
    first, rest = foremost(caveats)
    assert [*first, *rest] == caveats
    assert len(first) <= MOST_CAVEATS + 1

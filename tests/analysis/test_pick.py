"""Which network is taken: the run of several, and the size on its front."""

from dataclasses import replace
from typing import Any

import pytest

from senn_ray.analysis.pick import SizeRule, described, pick, pick_rung
from senn_ray.core.errors import ConfigError, DataError
from senn_ray.core.fronts import at_rung
from tests.analysis.fronts import BEST, FRONT, ONE_SE, walked
from tests.search.executor_suite import make_record, make_spec

RUN = walked()


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ({}, ONE_SE),
        ({"one_se": True}, ONE_SE),
        ({"best": True}, BEST),
        ({"max_params": 4810}, BEST),
        ({"max_params": FRONT[2].params}, 2),
        ({"max_params": FRONT[2].params - 1}, 3),
        ({"max_params": FRONT[4].params}, 4),
        ({"max_flops": 150 * 16}, 3),
        ({"loss_within": 0.0}, BEST),
        ({"loss_within": 0.0201}, 3),
        ({"loss_within": 9.0}, 4),
        ({"max_params": 4000, "max_flops": 2400}, 3),
    ],
)
def test_a_budget_gives_the_best_that_keeps_to_it_and_a_loss_the_smallest(
    rule: dict[str, Any], place: int
) -> None:
    assert pick_rung(RUN, SizeRule(**rule)) == place


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"max_params": 609}, "--max-params 609: .* have 610 to 4810 parameters"),
        ({"max_params": 4811}, "have 610 to 4810 parameters"),
        ({"max_flops": 10}, "--max-flops 10: .* have 1200 to 9600 FLOPs"),
        ({"max_params": 1500, "loss_within": 0.01}, "keeps to --max-params 1500 and"),
    ],
)
def test_a_budget_outside_of_the_front_is_told_the_range(
    rule: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        pick_rung(RUN, SizeRule(**rule))


@pytest.mark.parametrize(
    "rule",
    [
        {"best": True, "one_se": True},
        {"best": True, "max_params": 100},
        {"one_se": True, "loss_within": 0.1},
    ],
)
def test_rules_that_contradict_each_other_are_named(rule: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"--\S+ .*and --\S+.* contradict each other"):
        SizeRule(**rule)


@pytest.mark.parametrize("loss", [-0.1, float("nan"), float("inf")])
def test_a_loss_below_the_best_is_refused(loss: float) -> None:
    with pytest.raises(ConfigError, match="--loss-within"):
        SizeRule(loss_within=loss)


def test_a_run_of_before_fronts_is_one_clear_line() -> None:
    with pytest.raises(DataError, match=r"one network and no front .* senn-ray export"):
        pick_rung(replace(RUN, front=(), found=None), SizeRule())


def test_of_several_seeds_the_growing_run_of_median_loss_is_taken() -> None:
    runs = [walked(f"senn-0-{n:03d}", loss=0.1 + n / 100) for n in (4, 0, 2)]
    other = make_record(make_spec("gradmax-0-000", width=1000, arm="gradmax"))
    chosen = pick([*runs, other], None, is_kept=lambda _: True)
    assert chosen.run_id == "senn-0-002"


def test_the_record_of_a_rung_is_that_of_a_run_that_had_ended_there() -> None:
    record = at_rung(replace(RUN, train_loss=0.05), 3)
    assert (record.hidden, record.params) == ((16,), FRONT[3].params)
    assert (record.val_loss, record.found) == (0.12, 3)
    assert (record.cost.steps, record.cost.device_s) == (400, 4.0)
    assert record.train_loss is None
    assert at_rung(replace(RUN, train_loss=0.05), ONE_SE).train_loss == 0.05


def test_a_rule_is_told_in_words() -> None:
    assert described(SizeRule(), "one_se") == "the found size, by one_se"
    assert described(SizeRule(best=True), "one_se") == "best"
    both = SizeRule(max_params=7, loss_within=0.01)
    assert described(both, "best") == (
        "at most 7 parameters and a loss within 0.01 of the best"
    )

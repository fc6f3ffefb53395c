"""Choices on fronts made by hand."""

import pytest

from senn_ray.core.fronts import best, choose, one_se, within_budget
from senn_ray.core.records import Rung


def rung(params: int, loss: float, gap: float = 0.0, se: float = 0.0) -> Rung:
    return Rung(
        hidden=(params // 10,),
        params=params,
        flops=2 * params,
        val_loss=loss,
        val_accuracy=None,
        gap=gap,
        gap_se=se,
        steps=1,
        sample_visits=1,
        flops_spent=1.0,
        device_s=1.0,
    )


FRONT = [
    rung(800, 0.31, 0.01, 0.005),
    rung(400, 0.30),
    rung(200, 0.303, 0.003, 0.004),
    rung(100, 0.304, 0.004, 0.003),
    rung(50, 0.50, 0.2, 0.01),
]


def test_the_best_is_that_of_least_loss_and_the_smallest_of_ties() -> None:
    assert best(FRONT) == 1
    assert best([rung(40, 0.3), rung(20, 0.3), rung(10, 0.4)]) == 1


def test_one_standard_error_finds_the_smallest_that_is_no_worse_for_sure() -> None:
    assert one_se(FRONT) == 2
    assert choose(FRONT, "one_se") == 2
    assert choose(FRONT, "best") == 1


def test_a_smaller_rung_counts_though_one_between_is_worse() -> None:
    """The front need not fall: the rule looks at every rung."""
    dipped = [
        rung(400, 0.30),
        rung(200, 0.32, 0.02, 0.01),
        rung(100, 0.301, 0.001, 0.01),
    ]
    assert one_se(dipped) == 2


def test_a_front_of_one_network_is_that_network() -> None:
    assert best([FRONT[4]]) == one_se([FRONT[4]]) == 0


def test_where_all_others_are_worse_the_best_is_found() -> None:
    assert one_se([rung(400, 0.3), rung(200, 0.4, 0.1, 0.01)]) == 0


@pytest.mark.parametrize(
    ("budget", "place"),
    [
        ({"max_params": 400}, 1),
        ({"max_params": 399}, 2),
        ({"max_flops": 200}, 3),
        ({"max_flops": 99}, None),
        ({"max_params": 49}, None),
        ({"loss_within": 0.0}, 1),
        ({"loss_within": 0.0041}, 3),
        ({"loss_within": 1.0}, 4),
        ({"loss_within": 1.0, "max_params": 300}, 4),
        ({"max_params": 800, "max_flops": 400}, 2),
    ],
)
def test_a_budget_chooses_the_best_that_keeps_to_it(
    budget: dict[str, float], place: int | None
) -> None:
    assert within_budget(FRONT, **budget) == place  # pyright: ignore[reportArgumentType]

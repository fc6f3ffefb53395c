import dataclasses

import pytest

from senn_ray.search.units import cell, form
from tests.search.executor_suite import make_spec

WAITING = ["a0", "b0", "a1", "a2", "b1", "c", "a3"]


def formed(waiting: list[str], *, free: int, workers: int, most: int = 5) -> list[str]:
    """Units of names whose first letter is their cell; those of ``c`` go alone."""
    units = form(
        waiting,
        free=free,
        workers=workers,
        most=most,
        cell_of=lambda name: None if name[0] == "c" else name[0],
    )
    return ["+".join(unit) for unit in units]


@pytest.mark.parametrize(
    ("free", "workers", "most", "expected"),
    [
        (1, 1, 5, ["a0+a1+a2+a3"]),
        (9, 1, 5, ["a0+a1+a2+a3", "b0+b1", "c"]),
        (2, 1, 3, ["a0+a1+a2", "b0+b1"]),
        (2, 2, 5, ["a0+a1+a2+a3", "b0+b1"]),
        (4, 4, 5, ["a0+a1", "b0+b1", "a2+a3", "c"]),
        (9, 9, 5, WAITING),
        (3, 1, 1, WAITING[:3]),
        (0, 2, 5, []),
        (-1, 2, 5, []),
    ],
)
def test_a_unit_is_no_larger_than_the_share_of_a_worker(
    free: int, workers: int, most: int, expected: list[str]
) -> None:
    assert formed(WAITING, free=free, workers=workers, most=most) == expected


def test_runs_of_one_cell_differ_in_seed_arm_and_subset_only() -> None:
    spec = make_spec("ladder-0-001", width=3)
    other = dataclasses.replace(
        spec,
        run_id="grid-3-000",
        arm="grid",
        study=3,
        trial=7,
        seed=99,
        evaluate_test=True,
        data=spec.data.model_copy(update={"subset_seed": 5}),
    )
    assert cell(spec) == cell(other) is not None
    assert cell(make_spec("a", width=4)) != cell(spec)
    fewer = spec.data.model_copy(update={"per_class": 10})
    assert cell(dataclasses.replace(spec, data=fewer)) != cell(spec)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "grow"},
        {"workers": 2},
        {"cutoffs": (1.0,)},
        {"checkpoint": "/somewhere/final.pt"},
        {"model": make_spec("a").model.model_copy(update={"kind": "conv"})},
        {"train": make_spec("a").train.model_copy(update={"optimizer": "natural"})},
        {"train": make_spec("a").train.model_copy(update={"batch_size": 1})},
    ],
)
def test_what_is_not_a_plain_step_goes_alone(changes: dict[str, object]) -> None:
    assert cell(dataclasses.replace(make_spec("a"), **changes)) is None

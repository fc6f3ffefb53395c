"""The laws of the schedule of checks."""

import pytest

from senn_ray.config import GrowthConfig, TrainConfig
from senn_ray.training.schedule import make_schedule


@pytest.mark.parametrize(
    ("n_train", "every", "first"),
    [(1000, None, 25), (51_200, None, 50), (51_200, 30, 30)],
)
def test_checks_begin_after_half_a_pass_or_25_steps_or_as_told(
    n_train: int, every: int | None, first: int
) -> None:
    growth = GrowthConfig(check_every=every)
    schedule = make_schedule(TrainConfig(batch_size=512), growth, n_train)
    checks = sorted(schedule.checks)
    assert checks[:2] == [first, 2 * first]

"""The laws of the schedule: a trunk, and rungs in which the rate falls."""

import pytest

from senn_ray.config import FrontConfig, GrowthConfig, TrainConfig
from senn_ray.training.schedule import Schedule, make_schedule

GROWS = GrowthConfig()
FIXED = GrowthConfig(enabled=False)


def schedule(
    steps: int = 1000,
    growth: GrowthConfig = GROWS,
    front: FrontConfig | None = None,
    **train: float,
) -> Schedule:
    settings = TrainConfig.model_validate({"max_steps": steps, "min_steps": 1, **train})
    return make_schedule(settings, growth, front, 60_000)


@pytest.mark.parametrize(
    ("n_train", "every", "first"),
    [(1000, None, 25), (51_200, None, 50), (51_200, 30, 30)],
)
def test_checks_begin_after_half_a_pass_or_25_steps_or_as_told(
    n_train: int, every: int | None, first: int
) -> None:
    growth = GrowthConfig(check_every=every)
    found = make_schedule(TrainConfig(batch_size=512), growth, None, n_train)
    checks = sorted(found.checks)
    assert checks[:2] == [first, 2 * first]
    assert checks[-1] < found.longest_trunk


@pytest.mark.parametrize("growth", [GROWS, FIXED])
@pytest.mark.parametrize(("steps", "cooldown"), [(1000, 0.4), (1, 0.4), (7, 1.0)])
def test_a_plain_run_has_all_its_steps_and_one_cool_down(
    growth: GrowthConfig, steps: int, cooldown: float
) -> None:
    plain = schedule(steps, growth, cooldown=cooldown)
    descent = plain.descent(plain.longest_trunk, 1)
    assert descent.start + descent.rung_steps == plain.steps == steps
    rates = [plain.rate(step, descent) for step in range(descent.start, steps)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == plain.rate(0, None) == plain.lr
    assert descent.ends(steps)
    assert plain.evaluates(steps, descent)


def test_rates_fall_in_every_rung_and_begin_again_in_the_next() -> None:
    found = schedule(front=FrontConfig(rung_steps=20))
    descent = found.descent(300, 3)
    rates = [found.rate(step, descent) for step in range(300, 360)]
    assert rates[:20] == rates[20:40] == rates[40:]
    assert rates[0] == found.lr
    assert min(rates) >= 0.02 * found.lr
    ends = [step for step in range(300, 361) if descent.ends(step)]
    assert ends == [320, 340, 360]
    measured = [s for s in range(300, 321) if found.evaluates(s, descent)]
    assert measured == [305, 310, 315, 320]


@pytest.mark.parametrize("rungs", [1, 7, 16])
def test_rungs_share_the_steps_of_a_plain_run(rungs: int) -> None:
    found = schedule(front=FrontConfig())
    descent = found.descent(500, rungs)
    assert rungs * descent.rung_steps <= found.steps < rungs * (descent.rung_steps + 1)


def test_a_trunk_ends_when_growth_does_but_not_too_early_or_too_late() -> None:
    found = schedule(front=FrontConfig())
    assert found.shortest_trunk < found.longest_trunk == 600
    assert not found.trunk_ends(found.shortest_trunk - 1, is_settled=True)
    assert found.trunk_ends(found.shortest_trunk, is_settled=True)
    assert not found.trunk_ends(599, is_settled=False)
    assert found.trunk_ends(600, is_settled=False)


def test_the_trunk_of_a_fixed_network_has_one_length() -> None:
    found = schedule(growth=FIXED, front=FrontConfig())
    assert found.checks == frozenset()
    assert found.shortest_trunk == found.longest_trunk

import dataclasses

from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.search.targets import is_hit, lock
from tests.search.executor_suite import make_record, make_spec


def record(loss: float | None, params: int, state: str = "complete") -> RunRecord:
    base = make_record(make_spec("a"))
    return dataclasses.replace(base, val_loss=loss, params=params, state=state)


def test_targets_are_medians_of_the_runs_that_completed() -> None:
    runs = [
        record(0.3, 100),
        record(0.1, 300),
        record(0.2, 200),
        record(None, 9, "diverged"),
        record(float("nan"), 9),
    ]
    assert lock(runs, 1.1) == TargetLocked(val_loss=0.2, max_params=220)
    assert lock(runs[3:], 1.1) is None


def test_rounding_does_not_lose_a_parameter() -> None:
    # 1.15 * 100 is 114.99999999999999.
    target = TargetLocked(val_loss=0.1, max_params=115)
    assert lock([record(0.1, 100)], 1.15) == target


def test_a_hit_of_quality_at_size_is_small_enough_too() -> None:
    target = TargetLocked(val_loss=0.2, max_params=100)
    assert is_hit(record(0.2, 100), target, "quality_at_size")
    assert is_hit(record(0.1, 101), target, "quality")
    assert not is_hit(record(0.1, 101), target, "quality_at_size")
    assert not is_hit(record(0.21, 1), target, "quality")
    assert not is_hit(record(0.1, 1, "failed"), target, "quality")

import pytest

from senn_ray.report.drawing import ARMS, canvas, log_scale
from senn_ray.search import arms as search_arms


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.1, 1.0], "log"),
        ([0.10, 0.11], "linear"),
        ([-0.1, 1.0], "linear"),
        ([0.0, 1.0], "linear"),
        ([], "linear"),
    ],
    ids=["wide", "narrow", "negative", "zero", "empty"],
)
def test_an_axis_is_logarithmic_only_where_that_shows_ticks(values, scale) -> None:
    with canvas("any", height_in=2) as (_, [panel]):
        log_scale(panel, "y", values)
        assert panel.get_yscale() == scale
        assert panel.get_xscale() == "linear"


def test_every_arm_has_a_shape_of_its_own() -> None:
    arms = set(search_arms.ARMS)
    assert set(ARMS) == arms
    assert len({marker for _, marker in ARMS.values()}) == len(arms)

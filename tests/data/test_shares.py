import pytest
import torch

from senn_ray.data.shares import share_gap


@pytest.mark.parametrize(
    ("train", "val", "gap"),
    [
        ([0, 0, 1, 1], [0, 1], 0.0),
        ([0, 0, 0, 1], [0, 1], 0.25),
        ([0, 0], [1], 1.0),
        ([2, 2, 2, 0], [0, 1, 2], 5 / 12),
    ],
)
def test_the_gap_is_the_share_that_would_have_to_change_its_class(
    train: list[int], val: list[int], gap: float
) -> None:
    assert share_gap(torch.tensor(train), torch.tensor(val)) == pytest.approx(gap)


def test_targets_of_a_regression_have_no_classes() -> None:
    assert share_gap(torch.zeros(3, 1), torch.zeros(2, 1)) is None

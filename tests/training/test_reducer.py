import pytest
import torch

from senn_ray.training.reducer import Reducer, SingleReducer, gather, sum_all
from tests.training.threads import run_threaded


def test_threads_all_get_the_sum_in_rank_order() -> None:
    parts = [torch.tensor([1e8]), torch.tensor([1.0]), torch.tensor([-1e8])]

    def work(reducer: Reducer) -> torch.Tensor:
        return reducer.sum(parts[reducer.rank].clone())

    expected = (parts[0] + parts[1]) + parts[2]
    for total in run_threaded(3, work):
        assert torch.equal(total, expected)


def test_consecutive_sums_do_not_mix() -> None:
    def work(reducer: Reducer) -> list[float]:
        steps = (torch.full((2,), float(step + reducer.rank)) for step in range(50))
        return [float(reducer.sum(buffer)[0]) for buffer in steps]

    expected = [2.0 * step + 1.0 for step in range(50)]
    assert run_threaded(2, work) == [expected, expected]


def test_sum_all_keeps_order_and_shapes() -> None:
    def work(reducer: Reducer) -> list[torch.Tensor]:
        ones = [torch.ones(2, 3), torch.tensor(5.0), torch.ones(4) * 7]
        return sum_all(reducer, ones)

    matrix, scalar, vector = run_threaded(2, work)[1]
    assert torch.equal(matrix, torch.full((2, 3), 2.0))
    assert torch.equal(scalar, torch.tensor(10.0))
    assert torch.equal(vector, torch.full((4,), 14.0))


def test_a_gang_of_one_sums_nothing() -> None:
    tensors = [torch.rand(3)]
    assert sum_all(SingleReducer(), tensors) is tensors


def test_the_failure_of_one_replica_releases_and_reaches_the_caller() -> None:
    def work(reducer: Reducer) -> torch.Tensor:
        if reducer.rank == 1:
            raise ValueError("replica 1 is ill")
        return reducer.sum(torch.ones(1))

    with pytest.raises(ValueError, match="replica 1 is ill"):
        run_threaded(2, work)


def test_rows_come_together_in_rank_order() -> None:
    def work(reducer: Reducer) -> torch.Tensor:
        own = torch.full((reducer.rank + 1, 2), float(reducer.rank))
        return gather(reducer, own)

    for whole in run_threaded(3, work):
        assert whole[:, 0].tolist() == [0.0, 1.0, 1.0, 2.0, 2.0, 2.0]

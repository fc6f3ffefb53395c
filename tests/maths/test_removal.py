"""The removal cost, against brute force."""

import pytest
import torch

from senn_ray.maths.kronecker import damped_cholesky, natural_gradient
from senn_ray.maths.removal import compensation, precision_without, removal_cost
from senn_ray.maths.score import Terms, measure_site, score_gain


def alone(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    return tensors


@pytest.fixture
def layer() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights [3, 5], inputs [60, 5] with the constant last, and G [3, 3]."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(60, 5, generator=generator, dtype=torch.float64)
    a[:, 1] += 0.7 * a[:, 0]
    a[:, -1] = 1
    W = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    root = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    return W, a, root @ root.T + 0.1 * torch.eye(3, dtype=torch.float64)


def test_the_cost_is_what_removal_with_the_best_compensation_costs(
    layer: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    W, a, G = layer
    precision = torch.linalg.inv(a.T @ a / len(a))
    for i in range(4):
        keep = [j for j in range(5) if j != i]
        # By least squares: the rest of the inputs imitates input i as well as it can.
        share = torch.linalg.lstsq(a[:, keep], a[:, [i]]).solution[:, 0]
        change = (a[:, i] - a[:, keep] @ share)[:, None] * W[:, i]
        brute = 0.5 * ((change @ G) * change).sum() / len(a)
        assert removal_cost(W, precision, G)[i].item() == pytest.approx(
            brute.item(), rel=1e-8
        )
        expected = W[:, keep] + torch.outer(W[:, i], share)
        torch.testing.assert_close(compensation(W, precision, i), expected)


def test_no_other_compensation_changes_the_outputs_less(
    layer: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    W, a, G = layer
    precision = torch.linalg.inv(a.T @ a / len(a))
    rest = compensation(W, precision, 2).requires_grad_()
    change = a @ W.T - a[:, [0, 1, 3, 4]] @ rest.T
    (slope,) = torch.autograd.grad(((change @ G) * change).sum(), rest)
    assert slope.abs().max() < 1e-9


def test_the_cost_is_half_the_gain_of_adding_the_neuron_back(
    layer: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    """With its natural step n, also for a neuron that is not trained yet."""
    W, a, G = layer
    chol_G = damped_cholesky(G, 0.0)
    A = a.T @ a / len(a)
    targets = torch.randn(
        60, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    # The quadratic model of the loss has g = G (outputs - targets).
    gradients = (a @ W.T - targets) @ G
    n = natural_gradient(gradients.T @ a / 60, damped_cholesky(A, 0.0), chol_G)
    precision = torch.linalg.inv(A)
    cost = removal_cost(W, precision, G, n=n)
    for i in range(4):
        keep = [j for j in range(5) if j != i]
        pruned = a[:, keep] @ compensation(W, precision, i).T
        site = measure_site(
            a[:, keep], (pruned - targets) @ G, chol_G, terms=Terms(0.0), reduce=alone
        )
        gain = score_gain(site, a[:, [i]], reduce=alone).exact.item()
        assert cost[i].item() == pytest.approx(gain / 2, rel=1e-8)


def test_a_duplicate_costs_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    a = torch.cat([a, a[:, :1]], 1)
    W = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    precision = torch.linalg.inv(a.T @ a / 40 + 1e-12 * torch.eye(4).double())
    assert removal_cost(W, precision, torch.eye(2).double())[3] < 1e-10
    after = a[:, :3] @ compensation(W, precision, 3).T
    torch.testing.assert_close(after, a @ W.T, rtol=0, atol=1e-8)


def test_the_precision_of_fewer_inputs_is_that_of_a_fresh_inverse(
    layer: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    """Also when one input after another goes."""
    _, a, _ = layer
    kept, precision = list(range(5)), torch.linalg.inv(a.T @ a / len(a))
    for index in (1, 0, 2):
        del kept[index]
        precision = precision_without(precision, index)
        fresh = torch.linalg.inv(a[:, kept].T @ a[:, kept] / len(a))
        torch.testing.assert_close(precision, fresh, rtol=1e-9, atol=1e-9)

"""Gradients and curvatures of the losses, against automatic differentiation."""

import math

import pytest
import torch

from senn_ray.maths.losses import (
    Task,
    constant_predictor_loss,
    curvature_root,
    loss,
    output_curvature,
    output_gradient,
)

CASES: list[Task] = ["classification", "regression"]


def case(task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    if task == "classification":
        return outputs, torch.tensor([0, 2, 1, 1, 0])
    return outputs, torch.randn(5, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("task", CASES)
def test_the_output_gradient_is_the_derivative_of_the_summed_loss(task: Task) -> None:
    outputs, targets = case(task)
    leaf = outputs.clone().requires_grad_()
    total = loss(leaf, targets, task) * len(outputs)
    (expected,) = torch.autograd.grad(total, leaf)
    torch.testing.assert_close(output_gradient(outputs, targets, task), expected)


@pytest.mark.parametrize("task", CASES)
def test_the_curvature_is_the_hessian_with_respect_to_the_outputs(task: Task) -> None:
    outputs, targets = case(task)
    hessians = [
        torch.func.hessian(lambda z, t=t: loss(z[None], t[None], task))(o)
        for o, t in zip(outputs, targets, strict=True)
    ]
    total = torch.stack(hessians).sum(0)
    roots = curvature_root(outputs, task)
    torch.testing.assert_close((roots @ roots.mT).sum(0), total)
    torch.testing.assert_close(output_curvature(outputs, task), total)


def test_who_sees_no_features_guesses_the_frequencies_of_classes() -> None:
    known, targets = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 2])
    # One of each class is added: 4, 2 and 1 of 7.
    expected = -sum(math.log(n / 7) for n in (4, 2, 1)) / 3
    assert constant_predictor_loss(
        known, targets, "classification", 3
    ) == pytest.approx(expected)
    even = torch.arange(10).repeat(50)
    assert constant_predictor_loss(even, even, "classification", 10) == pytest.approx(
        math.log(10)
    )


def test_who_sees_no_features_guesses_the_mean_of_targets() -> None:
    known, targets = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [4.0]])
    assert constant_predictor_loss(known, targets, "regression", 1) == pytest.approx(
        0.5 * 9 / 2
    )

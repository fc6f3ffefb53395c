"""Gradients and curvatures of the losses, against automatic differentiation."""

import pytest
import torch

from senn_ray.maths.losses import (
    Task,
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

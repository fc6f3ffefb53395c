"""Curvature, exact and estimated, and captures that are joined."""

import pytest
import torch

from senn_ray.maths.losses import Task
from senn_ray.nets.capture import Capture, capture, merge
from senn_ray.nets.mlp import MLP, DenseArchitecture, build


def problem(task: Task, *, n: int = 40) -> tuple[MLP, torch.Tensor, torch.Tensor]:
    architecture = DenseArchitecture(
        num_inputs=5, hidden=(4, 3), num_outputs=3, activation="rational"
    )
    generator = torch.Generator().manual_seed(0)
    net = build(architecture, generator).double()
    x = torch.randn(n, 5, generator=generator).double()
    if task == "classification":
        return net, x, torch.randint(0, 3, (n,), generator=generator)
    return net, x, torch.randn(n, 3, generator=generator).double()


def signs(n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randint(2, (n, 2, 3), generator=generator) - 1


def estimate(task: Task, draws: int, *, first: int) -> list[torch.Tensor]:
    """Average the sampled factors of the first layer over independent draws."""
    net, x, y = problem(task)
    layers = [
        capture(net, x, y, task, probes=signs(len(x), first + k)).layers[0]
        for k in range(draws)
    ]
    return [
        torch.stack([layer.curvature for layer in layers]).mean(0),
        torch.stack([layer.ridge for layer in layers]).mean(0),
    ]


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_sampled_curvature_converges_to_the_exact_one_as_one_over_the_root(
    task: Task,
) -> None:
    net, x, y = problem(task)
    layer = capture(net, x, y, task).layers[0]
    exact = [layer.curvature, layer.ridge]
    errors = []
    for draws in (4, 64):
        means = [
            [
                ((a - b).norm() / b.norm()).square()
                for a, b in zip(
                    estimate(task, draws, first=1000 * k), exact, strict=True
                )
            ]
            for k in range(12)
        ]
        errors.append(torch.tensor(means).mean().sqrt().item())
    # Sixteen times the draws: a quarter of the error.
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.35)
    assert errors[1] < 0.1


@pytest.mark.parametrize("sampled", [False, True])
def test_curvature_is_positive_semidefinite_and_never_above_the_ridge(
    sampled: bool,
) -> None:
    net, x, y = problem("classification")
    probes = signs(len(x), 5) if sampled else None
    for layer in capture(net, x, y, "classification", probes=probes).layers:
        scale = layer.ridge.diagonal().mean()
        for matrix in (layer.curvature, layer.ridge):
            torch.testing.assert_close(matrix, matrix.T)
            assert torch.linalg.eigvalsh(matrix)[0] > -1e-9 * scale
        if not sampled:  # The softmax curvature is at most one half of the identity.
            rest = 0.5 * layer.ridge - layer.curvature
            assert torch.linalg.eigvalsh(rest)[0] > -1e-9 * scale


def test_probes_of_examples_and_of_both_moments_are_independent() -> None:
    probes = signs(20000, 7).double().reshape(20000, -1)
    correlation = torch.corrcoef(probes.T) - torch.eye(6).double()
    neighbours = (probes[:-1] * probes[1:]).mean(0)
    assert correlation.abs().max() < 5 / 20000**0.5
    assert neighbours.abs().max() < 5 / 20000**0.5


def fields(captured: Capture) -> list[torch.Tensor]:
    layers = [
        tensor
        for layer in captured.layers
        for tensor in (layer.inputs, layer.gradients, layer.curvature, layer.ridge)
    ]
    return [captured.loss, captured.power, *layers]


def test_captures_of_two_parts_join_to_the_capture_of_the_whole() -> None:
    net, x, y = problem("classification")
    probes = signs(len(x), 9)
    whole = capture(net, x, y, "classification", probes=probes)
    parts = [
        capture(net, x[part], y[part], "classification", probes=probes[part])
        for part in (slice(None, 13), slice(13, None))
    ]
    for a, b in zip(fields(merge(parts)), fields(whole), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)

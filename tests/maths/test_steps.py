"""The curvature of steps of layers that act at many positions."""

import itertools

import pytest
import torch

from senn_ray.maths.heldout import halves_of, heldout_gain, tried
from senn_ray.maths.kronecker import damped_cholesky
from senn_ray.maths.measured import climb_from, measured_gain
from senn_ray.maths.removal import residual_inputs
from senn_ray.maths.score import (
    Site,
    Terms,
    extend_site,
    measure_site,
    score,
    score_gain,
)
from senn_ray.maths.steps import square_of_sums, square_of_sums_slope, step_curvature

POSITIONS = 6


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_all_positions_give_the_square_of_the_sum() -> None:
    q = randn(4 * POSITIONS, 3)
    sums = square_of_sums(q, group=POSITIONS, positions=POSITIONS)
    expected = q.view(4, POSITIONS, 3).sum(1).square().sum(0)
    torch.testing.assert_close(sums.sum(0), expected)


def test_some_positions_give_it_on_average() -> None:
    q = randn(4, POSITIONS)
    estimates = [
        square_of_sums(q[:, list(some)].flatten(), group=3, positions=POSITIONS)
        for some in itertools.combinations(range(POSITIONS), 3)
    ]
    mean = torch.stack(estimates).mean(0).sum()
    torch.testing.assert_close(mean, q.sum(1).square().sum())


def test_the_slope_of_the_square_of_sums_is_its_derivative() -> None:
    q = randn(5 * 3, 2).requires_grad_()
    value = square_of_sums(q, group=3, positions=POSITIONS).sum()
    (expected,) = torch.autograd.grad(value, q)
    slope = square_of_sums_slope(q.detach(), group=3, positions=POSITIONS)
    torch.testing.assert_close(slope, expected)


def test_curvature_is_never_below_the_factors() -> None:
    sums = torch.tensor([[1.0, 4.0], [-2.0, 4.0]])
    least = torch.tensor([0.5, 0.5])
    assert step_curvature(sums, 2.0, least).tolist() == [0.5, 4.0]


def site(*, same: bool, roots: torch.Tensor | None) -> Site:
    """Sixty examples whose positions are all the same, or independent."""
    a, g = randn(60, POSITIONS, 4), randn(60, POSITIONS, 3, seed=1)
    if same:
        a, g = a[:, :1].expand_as(a), g[:, :1].expand_as(g)
    g = g.flatten(0, 1)
    return measure_site(
        a.flatten(0, 1),
        g,
        damped_cholesky(g.T @ g / len(g), 0.0),
        terms=Terms(1e-8, positions=POSITIONS, group=POSITIONS),
        reduce=lambda tensors: tensors,
        roots=g if roots is None else roots,
    )


def test_where_all_positions_are_the_same_factors_miss_a_factor_of_their_number() -> (
    None
):
    # There the layer is dense on sums over the positions, so one example counts once.
    where = site(same=True, roots=None)
    c = randn(60, 1, 2, seed=2).expand(-1, POSITIONS, -1).flatten(0, 1)
    gain = score_gain(where, c, reduce=lambda t: t)
    measured = measured_gain(where, c, gain, reduce=lambda t: t)
    residual = (c - where.activations @ gain.projection).view(60, POSITIONS, -1)[:, 0]
    assert where.roots is not None
    step = (where.roots.view(60, POSITIONS, -1)[:, 0] @ gain.direction) * residual
    curvature = (POSITIONS * step).square().mean(0)
    torch.testing.assert_close(measured, gain.exact.square() / curvature)
    ratio = gain.exact / measured
    assert (ratio > POSITIONS / 2).all()


def test_independent_positions_leave_the_scores_as_they_are() -> None:
    where = site(same=False, roots=None)
    c = randn(60 * POSITIONS, 5, seed=2)
    gain = score_gain(where, c, reduce=lambda t: t)
    measured = measured_gain(where, c, gain, reduce=lambda t: t)
    assert (measured <= gain.exact).all()
    assert (measured > 0.5 * gain.exact).all()


def test_candidates_climb_the_derivative_of_what_is_measured() -> None:
    where = site(same=True, roots=None)
    c = randn(60, 1, 4, seed=2).expand(-1, POSITIONS, -1).flatten(0, 1)
    c = (c + 0.3 * randn(60 * POSITIONS, 4, seed=3)).requires_grad_()
    gain = score_gain(where, c, reduce=lambda t: t)
    measured = measured_gain(where, c, gain, reduce=lambda t: t)
    assert (measured < 0.9 * gain.exact).all()
    (expected,) = torch.autograd.grad(measured.sum(), c)
    climb = climb_from(where, c.detach(), reduce=lambda t: t)
    torch.testing.assert_close(climb.height, measured)
    torch.testing.assert_close(climb.cotangent, expected)


def test_on_its_own_examples_a_step_is_held_to_the_curvature_measured_there() -> None:
    where = site(same=True, roots=None)
    c = randn(60, 1, 4, seed=2).expand(-1, POSITIONS, -1).flatten(0, 1)
    gain = score_gain(where, c, reduce=lambda t: t)
    measured = measured_gain(where, c, gain, reduce=lambda t: t)
    halves = halves_of(where, where)
    both = tried(halves, c, c, reduce=lambda t: t)
    verdict = heldout_gain(halves, both, 1, reduce=lambda t: t)
    assert verdict.gain == pytest.approx(measured[1].item(), rel=1e-6)


def test_an_addition_does_not_forget_how_curvature_is_measured() -> None:
    where = site(same=True, roots=None)
    c = randn(60 * POSITIONS, seed=2)
    scored = score(where, c[:, None], reduce=lambda t: t)
    larger = extend_site(where, scored, 0, reduce=lambda t: t)
    assert larger.roots is where.roots
    fresh = measure_site(
        torch.cat([c[:, None], where.activations], 1), where.gradients, where.chol_G,
        terms=where.terms, reduce=lambda t: t, roots=where.roots,
    )  # fmt: skip
    assert larger.current_score == pytest.approx(fresh.current_score, rel=1e-9)


def test_what_an_input_adds_is_what_the_others_cannot_say() -> None:
    x = randn(50, 4)
    lost = residual_inputs(x, torch.linalg.inv(x.T @ x))
    for i in range(4):
        others = x[:, [j for j in range(4) if j != i]]
        best = torch.linalg.lstsq(others, x[:, i]).solution
        torch.testing.assert_close(lost[:, i], x[:, i] - others @ best)

"""The search for candidates."""

import pytest
import torch

from senn_ray.maths.kronecker import damped_cholesky
from senn_ray.maths.proposals import (
    LARGEST_SPREAD,
    LEAST_SPREAD,
    activations,
    ascend,
    initial_candidates,
    whiten,
)
from senn_ray.maths.score import Site, Terms, measure_site, score_gain


def alone(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    return tensors


@pytest.fixture
def problem() -> tuple[Site, torch.Tensor]:
    """A site whose residual is a bent feature of correlated inputs [200, 6]."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 6, generator=generator, dtype=torch.float64)
    x = x @ torch.randn(6, 6, generator=generator, dtype=torch.float64) + 1.0
    target = torch.tanh(x @ torch.randn(6, generator=generator).double())
    noise = torch.randn(200, 2, generator=generator, dtype=torch.float64)
    gradients = target[:, None] * torch.tensor([1.0, -1.0]).double() + 0.3 * noise
    a = torch.cat([x[:, :1].tanh(), torch.ones(200, 1).double()], 1)
    chol_G = damped_cholesky(torch.eye(2).double(), 0.01)
    return measure_site(a, gradients, chol_G, terms=Terms(1e-3), reduce=alone), x


def start(site: Site, x: torch.Tensor, seed: int = 0) -> torch.Tensor:
    whitening = whiten(x, rank=6, shrinkage=1e-6, reduce=alone)
    return initial_candidates(
        site,
        whitening.coordinates(x),
        whitening,
        count=12,
        generator=torch.Generator().manual_seed(seed),
        reduce=alone,
    )


def test_whitened_coordinates_have_unit_covariance(
    problem: tuple[Site, torch.Tensor],
) -> None:
    _, x = problem
    z = whiten(x, rank=6, shrinkage=1e-9, reduce=alone).coordinates(x)
    torch.testing.assert_close(
        z.T @ z / len(z), torch.eye(6).double(), rtol=0, atol=1e-6
    )
    assert z.mean(0).abs().max() < 1e-9


def test_fan_in_on_raw_inputs_gives_the_same_neuron(
    problem: tuple[Site, torch.Tensor],
) -> None:
    site, x = problem
    whitening = whiten(x, rank=4, shrinkage=0.1, reduce=alone)
    candidates = start(site, x)[:, [0, 1, 2, 3, 6]]
    fan_in = whitening.fan_in(candidates)
    raw = torch.tanh(x @ fan_in[:, :-1].T + fan_in[:, -1])
    own = activations(candidates, whitening.coordinates(x), torch.tanh)
    torch.testing.assert_close(raw, own)


def test_ascent_never_lowers_a_gain_and_keeps_the_spread_bounded(
    problem: tuple[Site, torch.Tensor],
) -> None:
    site, x = problem
    z = whiten(x, rank=6, shrinkage=1e-6, reduce=alone).coordinates(x)
    first = start(site, x)
    gains = [score_gain(site, activations(first, z, torch.tanh), reduce=alone).exact]
    for steps in (1, 5, 25):
        best, gain = ascend(site, first, z, torch.tanh, steps=steps, reduce=alone)
        assert (gain >= gains[-1] - 1e-12).all()
        again = score_gain(site, activations(best, z, torch.tanh), reduce=alone)
        torch.testing.assert_close(again.exact, gain)
        gains.append(gain)
    assert gains[-1].max() > 1.2 * gains[0].max()
    spread = best[:, :-1].norm(dim=1)
    assert (spread >= LEAST_SPREAD - 1e-9).all()
    assert (spread <= LARGEST_SPREAD + 1e-9).all()


def test_other_seeds_give_other_candidates(problem: tuple[Site, torch.Tensor]) -> None:
    site, x = problem
    assert torch.equal(start(site, x), start(site, x))
    assert not torch.equal(start(site, x), start(site, x, seed=1))


def test_the_search_does_not_depend_on_the_signs_of_the_eigenbasis(
    problem: tuple[Site, torch.Tensor],
) -> None:
    """Gangs of different sizes see the inputs in another order of summation."""
    site, x = problem
    whitening = whiten(x, rank=6, shrinkage=1e-6, reduce=alone)
    flipped = type(whitening)(whitening.mean, -whitening.basis)
    neurons = []
    for w in (whitening, flipped):
        z = w.coordinates(x)
        found = initial_candidates(
            site,
            z,
            w,
            count=12,
            generator=torch.Generator().manual_seed(0),
            reduce=alone,
        )
        found, _ = ascend(site, found, z, torch.tanh, steps=8, reduce=alone)
        neurons.append(w.fan_in(found))
    torch.testing.assert_close(neurons[0], neurons[1], rtol=1e-6, atol=1e-8)

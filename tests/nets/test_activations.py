"""Nonlinearities with parameters, and what they can do first."""

import pytest
import torch

from senn_ray.config import REACHES_IDENTITY, Activation
from senn_ray.nets.activations import FAMILIES


def values(n: int = 1001, *, largest: float = 50.0) -> torch.Tensor:
    return torch.linspace(-largest, largest, n)


def shape(numbers: tuple[float, ...], like: torch.Tensor) -> list[torch.Tensor]:
    return [like.new_tensor(number) for number in numbers]


def test_the_settings_know_which_nonlinearities_reach_the_identity() -> None:
    reach = [name for name, family in FAMILIES.items() if family.identity is not None]
    assert tuple(reach) == REACHES_IDENTITY


@pytest.mark.parametrize("name", REACHES_IDENTITY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_identity_is_exact_bit_for_bit(
    name: Activation, dtype: torch.dtype
) -> None:
    family = FAMILIES[name]
    assert family.identity is not None
    for z in (values(largest=3).to(dtype), values(largest=1e6).to(dtype)):
        assert torch.equal(family.apply(z, shape(family.identity, z)), z)


@pytest.mark.parametrize("name", FAMILIES)
def test_padding_stays_zero_and_a_fresh_neuron_is_not_linear(name: Activation) -> None:
    family = FAMILIES[name]
    zero = torch.zeros(3)
    assert torch.equal(family.apply(zero, [zero] * len(family.start)), zero)
    z = values(largest=3)
    line = torch.stack([z, torch.ones_like(z)], 1)
    a = family.fresh(z)[:, None]
    rest = a - line @ torch.linalg.lstsq(line, a).solution
    assert rest.abs().max() > 0.1


@pytest.mark.parametrize("name", REACHES_IDENTITY)
def test_the_directions_span_what_the_parameters_do_beyond_linear_maps(
    name: Activation,
) -> None:
    """dσ/dshape at the identity, and [z, 1], span the same as the directions do."""
    family = FAMILIES[name]
    assert family.identity is not None
    z = values(largest=4).double()
    slopes = []
    for i in range(len(family.identity)):
        up, down = list(family.identity), list(family.identity)
        up[i], down[i] = up[i] + 1e-6, down[i] - 1e-6
        rise = family.apply(z, shape(tuple(up), z))
        slopes.append((rise - family.apply(z, shape(tuple(down), z))) / 2e-6)
    linear = [z, torch.ones_like(z)]
    truth = torch.stack([*slopes, *linear], 1)
    ours = torch.stack([*family.directions(z), *linear], 1)
    assert torch.linalg.matrix_rank(ours, rtol=1e-8) == ours.shape[1]
    fit = ours @ torch.linalg.lstsq(ours, truth).solution
    torch.testing.assert_close(fit, truth, rtol=0, atol=1e-6)

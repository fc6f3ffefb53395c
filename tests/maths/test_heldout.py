"""What several divisions of the same examples say together."""

import math

import pytest
import torch

from senn_ray.maths.heldout import Heldout, agreed


def said_of_noise(generator: torch.Generator, n: int, divisions: int) -> list[Heldout]:
    """Search the direction that lowers the loss most on a half; judge on the rest."""
    gradients = torch.randn(n, 12, generator=generator, dtype=torch.float64)
    verdicts = []
    for _ in range(divisions):
        order = torch.randperm(n, generator=generator)
        search, rest = gradients[order[: n // 2]], gradients[order[n // 2 :]]
        effect = rest @ search.mean(0)
        error = effect.std(correction=0) / math.sqrt(len(effect))
        z = (effect.mean() / error).item()
        verdicts.append(Heldout(gain=max(effect.mean().item(), 0.0), z=z))
    return verdicts


@pytest.mark.parametrize("divisions", [1, 3, 8])
def test_divisions_that_agree_on_noise_are_as_rare_as_one(divisions: int) -> None:
    generator = torch.Generator().manual_seed(divisions)
    z = torch.tensor([
        agreed(said_of_noise(generator, 100, divisions)).z for _ in range(3000)
    ])
    # The standard error of a standard deviation is 1.3 % here, of the share 0.27 %.
    assert z.std().item() == pytest.approx(1.0, abs=0.05)
    assert 0.01 < (z > 2).double().mean().item() < 0.035


def test_divisions_that_agree_are_surer_than_each_of_them() -> None:
    verdict = agreed([Heldout(gain=g, z=1.8) for g in (0.1, 0.2, 0.3)])
    assert verdict.gain == pytest.approx(0.2)
    assert verdict.z == pytest.approx(1.8 / math.sqrt(2 / 3))


def test_one_division_speaks_for_itself() -> None:
    assert agreed([Heldout(gain=0.3, z=2.5)]) == Heldout(gain=0.3, z=2.5)


def test_a_division_that_finds_harm_counts_against_the_others() -> None:
    hope = Heldout(gain=0.1, z=2.4)
    assert agreed([hope, hope, Heldout(gain=0.0, z=-2.4)]).z < 2

"""The laws of accepting one proposal."""

from statistics import NormalDist
from types import SimpleNamespace
from typing import cast

import pytest

from senn_ray.config import GrowthConfig
from senn_ray.growth.judge import Judged, corrected
from senn_ray.growth.pools import Proposal
from senn_ray.maths.heldout import Heldout


@pytest.mark.parametrize("tries", [1, 3, 40])
def test_the_best_of_many_tries_needs_the_luck_of_one(tries: int) -> None:
    luck = NormalDist().cdf(-corrected(2.0, tries))
    anyone = 1 - (1 - luck) ** tries
    assert 0.9 * NormalDist().cdf(-2) < anyone <= NormalDist().cdf(-2) + 1e-12
    assert corrected(1e9, tries) == 1e9


def test_many_places_ask_for_more_significance() -> None:
    proposal = cast("Proposal", None)
    judged = Judged(proposal, Heldout(gain=1.0, z=2.0), least=0.0, current_score=0.0)
    assert judged.passes(GrowthConfig())
    assert not judged.passes(GrowthConfig(), tries=40)


@pytest.mark.parametrize(
    ("kind", "accepted"), [("widen", True), ("insert_layer", False)]
)
def test_layers_never_come_on_trial(kind: str, *, accepted: bool) -> None:
    proposal = cast("Proposal", SimpleNamespace(kind=kind))
    unsure = Heldout(gain=0.01, z=0.5)
    judged = Judged(proposal, unsure, least=0.001, current_score=1e-3)
    assert judged.passes(GrowthConfig(), on_trial=True) == accepted
    assert not judged.passes(GrowthConfig())

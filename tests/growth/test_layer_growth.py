"""The laws of a growth check that may insert layers."""

import copy

import pytest
import torch

from senn_ray.config import REACHES_IDENTITY
from senn_ray.growth.candidates import LayerPool, Proposal, Search
from senn_ray.growth.checks import Judged, check_growth
from senn_ray.growth.pruning import prune_to
from senn_ray.maths.heldout import Heldout
from senn_ray.maths.insertion import layer_gain
from senn_ray.nets.mlp import dense
from senn_ray.nets.surgery import insert_layer
from tests.training.problems import rings, spec, trained


@pytest.mark.parametrize("hidden", [(), (5,)])
@pytest.mark.parametrize("activation", REACHES_IDENTITY)
def test_an_inserted_layer_gains_what_was_scored(
    hidden: tuple[int, ...], activation: str
) -> None:
    """The features and fan-out of the installed layer give the score of every map."""
    run_spec = spec(
        model__hidden=hidden, model__max_depth=3, model__activation=activation
    )
    run = trained(run_spec, rings())
    with torch.no_grad():
        pool = next(p for p in Search(run, 40).pools() if isinstance(p, LayerPool))
        tensors, layout = run.net.tensors(), run.net.layout
        for number in range(4):
            proposal = pool.pick(number)
            mix = pool.mixes[proposal.index]
            insert_layer(dense(run.net), proposal.place.layer, mix)
            W = dense(run.net).weights
            at = proposal.place.layer
            h = pool.search.activations @ W[at].T
            phi = torch.cat(run.net.family.directions(h), 1)
            V = W[at + 1][:, :-1].repeat(1, phi.shape[1] // h.shape[1])
            gain = layer_gain(pool.search, phi, V, reduce=run.reduce)
            assert gain.exact == pytest.approx(proposal.score_gain, rel=1e-3)
            run.net.become(tensors, layout)


def test_an_inserted_layer_is_the_cheapest_to_go_while_it_is_the_identity() -> None:
    run_spec = spec(model__hidden=(), model__max_depth=2, model__activation="rational")
    run = trained(run_spec, rings())
    run.best = copy.deepcopy(run.net)
    check = check_growth(run, 40)
    assert [e.kind for e in check.events] == ["insert_layer"]
    assert len(run.hidden) == 1
    assert run.best.architecture() == run.net.architecture()
    before, size = run.hidden, run.num_params
    (removal,) = prune_to(run, 41, size - 1)
    assert removal.kind == "remove_layer"
    assert removal.hidden_before == before
    assert removal.removal_cost == pytest.approx(0, abs=3e-4)
    assert run.hidden == ()


@pytest.mark.parametrize(("cap", "second"), [(8, ["widen"] * 2), (2, ["insert_layer"])])
def test_a_layer_gets_neurons_before_another_layer_comes(
    monkeypatch: pytest.MonkeyPatch, cap: int, second: list[str]
) -> None:
    """If neurons may come at all; and whatever layers promise."""

    def judge(_: object, proposal: Proposal) -> Judged:
        gain = 9.0 if proposal.kind == "insert_layer" else 1.0
        return Judged(proposal, Heldout(gain, z=9.0), least=0.1, current_score=1e-3)

    monkeypatch.setattr("senn_ray.growth.checks.Judge._judge", judge)
    run_spec = spec(
        model__hidden=(),
        model__max_depth=3,
        model__max_hidden=cap,
        model__activation="rational",
        growth__max_additions=2,
    )
    run = trained(run_spec, rings())
    checks = []
    for step in (40, 50, 60):
        events = check_growth(run, step).events
        run.trace.expansions += events
        checks.append([event.kind for event in events])
    assert checks == [["insert_layer"], second, ["insert_layer"]]

"""What a run costs is counted from shapes."""

import platform
from pathlib import Path

import pytest
import torch
from torch import randn
from torch.utils.flop_counter import FlopCounterMode

from senn_ray.maths.score import Terms, measure_site, score_gain
from senn_ray.runs.run import train_run
from senn_ray.training.cost import (
    CPU_FACTS,
    FORWARD,
    TRAINING,
    CostLedger,
    decision_flops,
    device_name,
    processor_name,
)
from tests.training.problems import rings, spec


@pytest.mark.parametrize(("decay", "trials"), [(0.1, 0), (None, 9)])
def test_a_fixed_run_costs_its_steps_and_evaluations(
    decay: float | None, trials: int
) -> None:
    settings = spec(
        kind="fixed",
        train__min_steps=100,
        train__evaluations=10,
        train__weight_decay=decay,
    )
    record = train_run(settings, rings())
    n_train, n_val = record.n_train, 90
    steps = 100 * 256
    # The evaluations; where decay follows, a trial by two passes after all but the last;
    # the training loss at the end.
    looks = (10 + 2 * trials) * n_val + n_train
    assert record.cost.sample_visits == steps + looks
    work = TRAINING * steps + FORWARD * looks
    assert record.cost.flops == record.params * work
    assert record.cost.growth_s == 0


def test_growth_is_paid_for() -> None:
    fixed = train_run(spec(kind="fixed", model__hidden=(9,)), rings()).cost
    grown = train_run(spec(), rings())
    assert grown.checks > 0
    assert grown.cost.sample_visits > fixed.sample_visits
    assert grown.cost.flops > 1.2 * fixed.flops


def test_replicas_are_all_paid_for() -> None:
    ledger = CostLedger(replicas=3)
    before = ledger.wall_s()
    cost = ledger.cost()
    assert 3 * before <= cost.device_s <= 3 * ledger.wall_s()


def test_the_search_counts_no_less_than_what_torch_counts() -> None:
    """One gain, without its gradient: a lower bound by an independent counter."""
    n, n_in, n_out, num_candidates, rank = 500, 20, 10, 8, 16
    site_inputs, gradients = randn(n, n_in), randn(n, n_out)
    chol_G = randn(n_out, n_out).tril().abs()
    with FlopCounterMode(display=False) as counter:
        site = measure_site(
            site_inputs, gradients, chol_G, terms=Terms(1.0), reduce=lambda t: t
        )
        candidates = randn(n, rank) @ randn(rank, num_candidates)
        score_gain(site, candidates, reduce=lambda t: t)
    counted = decision_flops(
        examples=2 * n,
        inputs=rank,
        rank=rank,
        site=(n_in, n_out),
        searches=num_candidates,
    )
    assert counter.get_total_flops() < counted < 10 * counter.get_total_flops()


def test_a_processor_is_named_by_its_model(tmp_path: Path) -> None:
    facts = tmp_path / "cpuinfo"
    facts.write_text("processor\t: 0\nmodel\t: 1\nmodel name\t: Fast  CPU @ 2 GHz\n\n")
    assert processor_name(facts) == "Fast CPU @ 2 GHz"
    assert device_name(torch.device("cpu")) == processor_name(CPU_FACTS)


def test_a_system_that_does_not_tell_the_model_names_the_architecture(
    tmp_path: Path,
) -> None:
    plain = platform.processor() or platform.machine()
    assert processor_name(tmp_path / "nowhere") == plain
    (tmp_path / "arm").write_text("processor\t: 0\nmodel name\t:\n")
    assert processor_name(tmp_path / "arm") == plain

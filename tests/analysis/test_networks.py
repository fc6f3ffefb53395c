"""The networks of a walk are rows; their costs add up to that of the run."""

import dataclasses

import numpy as np
import pytest

from senn_ray.analysis.ledger import cost_row
from senn_ray.analysis.networks import as_bests, as_networks, as_runs, networks
from senn_ray.analysis.statistics import reach
from senn_ray.core.records import Cost, RunRecord
from tests.search.executor_suite import make_record, make_spec
from tests.search.fakes import walked


def a_walk() -> RunRecord:
    record = make_record(make_spec("walk", width=8))
    cost = Cost(steps=100, sample_visits=1000, flops=1e6, device_s=10.0)
    record = walked(dataclasses.replace(record, cost=cost), 0.0)
    # What is measured after the last rung is part of the run.
    more = dataclasses.replace(record.cost, device_s=record.cost.device_s + 3)
    return dataclasses.replace(record, cost=more)


def test_costs_of_networks_add_up_to_those_of_their_runs() -> None:
    records = [a_walk(), make_record(make_spec("plain"))]
    rows = as_networks(records)
    assert len(rows.losses) == len(records[0].front) + 1
    assert rows.costs[:, 0].tolist() == [1, 0, 0, 0, 1]
    spent = np.sum([cost_row(record) for record in records], axis=0)
    assert rows.costs.sum(axis=0).tolist() == pytest.approx(spent.tolist())
    assert (rows.costs >= 0).all()


def test_a_walk_hits_with_the_first_rung_that_reaches_a_target_and_pays_up_to_it() -> (
    None
):
    record = a_walk()
    third = record.front[2]
    reached = reach([as_networks([record])], loss=9.0, max_params=third.params)
    assert reached.hits.tolist() == [True]
    paid = [1, third.steps, third.sample_visits, third.flops_spent, third.device_s]
    assert reached.costs[0].tolist() == pytest.approx(paid)


def test_a_run_counts_by_what_it_found_and_a_curve_by_its_best() -> None:
    record = dataclasses.replace(a_walk(), found=2, val_loss=0.9, params=160)
    runs, bests = as_runs([record]), as_bests([record])
    assert (runs.losses[0], runs.params[0]) == (0.9, 160)
    assert bests.losses[0] == min(rung.val_loss for rung in record.front)
    assert runs.costs.tolist() == bests.costs.tolist() == [cost_row(record)]


def test_a_walk_that_diverged_has_no_network_and_costs_what_it_used() -> None:
    record = dataclasses.replace(a_walk(), state="diverged")
    (network,) = networks(record)
    assert network.val_loss == np.inf
    assert as_networks([record]).costs.tolist() == [cost_row(record)]

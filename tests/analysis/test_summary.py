import dataclasses
import itertools
import json
import math
import random
import re
from typing import Any

import numpy as np
import pytest

from senn_ray.analysis.curves import curve
from senn_ray.analysis.results import WEIGHTS, from_json, to_json
from senn_ray.analysis.statistics import Runs
from senn_ray.analysis.summary import run_summary, summarise
from senn_ray.config import Config
from senn_ray.core.errors import DataError
from senn_ray.core.events import Event, JobEnded, RunFinished
from senn_ray.core.records import Rung, RunRecord, RunSpec
from senn_ray.search.coordinator import run_job
from senn_ray.search.machine import State
from senn_ray.search.plan import SENN, Plan, Verb
from senn_ray.search.protocol import CURRENCIES
from tests.analysis.summaries import compared, read, summary_of
from tests.search.fakes import (
    FakeStudies,
    MemoryJournal,
    ShuffledExecutor,
    fake_run,
    finite_loss,
    make_config,
    started,
)

CONFIG = make_config()


def job_events(
    verb: Verb = "compare",
    *,
    config: Config = CONFIG,
    senn: dict[str, Any] | None = None,
) -> list[Event]:
    def run(spec: RunSpec) -> RunRecord:
        record = fake_run(spec)
        return dataclasses.replace(record, **senn or {}) if spec.arm == SENN else record

    journal = MemoryJournal()
    run_job(
        State(plan=Plan(verb=verb, config=config), capacity=2),
        started(config, verb),
        executor=ShuffledExecutor(2, lambda n: n - 1, run),
        journal=journal,
        studies=FakeStudies(),
        observe=lambda _: None,
    )
    return journal.events


EVENTS = job_events()
RESULT = compared(EVENTS)
SUMMARY = read(RESULT)


def test_the_comparison_keeps_its_contract() -> None:
    assert set(SUMMARY) >= {
        "verb", "state", "targets", "arms", "exchange_rate", "restarts_saved",
        "size", "caveats", "verdict", "withheld", "seed", "dataset",
    }  # fmt: skip
    for target in ("quality", "quality_at_size"):
        assert set(SUMMARY["arms"][target]) == {SENN, *CONFIG.baseline.arms}
        for row in SUMMARY["arms"][target].values():
            assert set(row) >= {
                "runs", "hits", "censored", "best_val_loss", "best_hidden", "cost",
            }  # fmt: skip
            assert set(row["cost"]) == set(CURRENCIES)
        for arm in CONFIG.baseline.arms:
            rates = SUMMARY["exchange_rate"][target][arm]
            assert set(rates) == set(CURRENCIES)
            assert set(rates["runs"]) >= {"estimate", "low", "high", "bound"}
            saved = SUMMARY["restarts_saved"][target][arm]
            assert set(saved) == {"estimate", "low", "high", "bound"}
    assert set(SUMMARY["size"]) >= {"senn", "best_fixed", "smallest_sufficient"}


def test_the_summary_does_not_depend_on_the_order_of_completions() -> None:
    finished = [event for event in EVENTS if isinstance(event, RunFinished)]
    others = [event for event in EVENTS if not isinstance(event, RunFinished)]
    random.Random(0).shuffle(finished)
    assert summary_of([others[0], *finished, *others[1:]]) == SUMMARY


def test_summaries_are_strict_json() -> None:
    for summary in (SUMMARY, summary_of(job_events("grow"))):
        assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_costs_hits_and_targets_can_be_counted_by_hand() -> None:
    records = [event.record for event in EVENTS if isinstance(event, RunFinished)]
    losses = sorted(r.val_loss or math.inf for r in records if r.arm == SENN)
    target = SUMMARY["targets"]["quality_at_size"]
    assert target["val_loss"] == losses[2]
    ours = [record for record in records if record.arm == "random"]
    row = SUMMARY["arms"]["quality_at_size"]["random"]
    assert row["runs"] == len(ours)
    assert row["cost"]["steps"] == sum(record.cost.steps for record in ours)
    small = [r for r in ours if r.params <= target["max_params"]]
    assert row["hits"] == sum((r.val_loss or 9) <= target["val_loss"] for r in small)
    assert row["best_val_loss"] == min(r.val_loss or 9 for r in small)


def test_confirmed_winners_come_from_fresh_seeds_with_test_values() -> None:
    again = SUMMARY["confirmed"]["max_once"]["quality"]
    assert again["hidden"] == [128]
    assert again["seeds"] == CONFIG.compare.retrain_seeds
    assert again["test_loss"] == pytest.approx(again["val_loss"] + 0.01)
    assert "quality_at_size" not in SUMMARY["confirmed"]["max_once"]
    assert SUMMARY["size"]["plain_at_senn_size"]["hidden"] == [24]


def test_a_single_largest_run_that_hits_is_said_plainly() -> None:
    assert any("0 restarts saved on quality" in said for said in SUMMARY["caveats"])
    (said,) = (text for text in SUMMARY["caveats"] if text.startswith("never reached"))
    assert "max_once (none small enough" in said


def test_the_search_of_someone_who_knew_the_target_is_counted() -> None:
    # 2, 4, 8, 16, 32 (for 24 units), then 18, 21, 22 above 12 to within a tenth.
    assert any("in about 8 runs" in said for said in SUMMARY["caveats"])


def test_the_smallest_sufficient_size_and_the_next_one_both_pass() -> None:
    arms = (*CONFIG.baseline.arms, "grid")
    summary = summary_of(job_events(config=make_config(arms=arms)))
    rows = summary["sizes"]
    assert all(row["seeds"] == CONFIG.baseline.repeats for row in rows)
    passed = [row["noninferior"] for row in rows]
    (first,) = summary["size"]["smallest_sufficient"]["hidden"]
    place = [row["hidden"] for row in rows].index(first)
    assert passed[place]
    assert passed[place + 1]
    pairs = itertools.pairwise(passed[:place])
    assert not any(one and following for one, following in pairs)
    assert not any("add grid" in said for said in summary["caveats"])


def test_without_a_grid_only_widths_that_were_trained_again_are_tested() -> None:
    again = CONFIG.compare.model_copy(update={"retrain_seeds": 3})
    events = job_events(config=CONFIG.model_copy(update={"compare": again}))
    records = [event.record for event in events if isinstance(event, RunFinished)]
    confirmed = {r.hidden[0] for r in records if r.arm == "confirm"}
    chosen = {r.hidden[0] for r in records if r.arm == "ladder_bisect"}
    assert chosen - confirmed
    for row in (summary := summary_of(events))["sizes"]:
        assert (row["noninferior"] is not None) == (row["hidden"] in confirmed)
        if row["hidden"] in confirmed:
            losses = [
                finite_loss(r)
                for r in records
                if r.arm == "confirm" and r.hidden[0] == row["hidden"]
            ]
            assert row["val_mean"] == pytest.approx(np.mean(losses))
    assert any("add grid to baseline.arms" in said for said in summary["caveats"])
    # Two runs are too few to tell: with those that were chosen they would be enough.
    assert all(row["noninferior"] is None for row in SUMMARY["sizes"])
    assert any(row["seeds"] >= 3 for row in SUMMARY["sizes"])


def test_a_healthy_comparison_has_a_verdict() -> None:
    assert SUMMARY["withheld"] == []
    assert "for quality at size" in SUMMARY["verdict"]


@pytest.mark.parametrize(
    ("stop_reason", "said"),
    [("cap_hit", "hit the cap"), ("budget", "did not converge")],
)
def test_growing_runs_that_did_not_converge_withhold_the_verdict(
    stop_reason: str, said: str
) -> None:
    summary = summary_of(job_events(senn={"stop_reason": stop_reason}))
    assert summary["verdict"] is None
    assert said in summary["withheld"][0]


def test_too_few_seeds_withhold_the_verdict() -> None:
    compared = CONFIG.compare.model_copy(update={"seeds": 4})
    config = CONFIG.model_copy(update={"compare": compared})
    summary = summary_of(job_events(config=config))
    assert summary["verdict"] is None
    assert "too few" in summary["withheld"][0]


def test_an_opponent_that_wins_is_reported() -> None:
    worse = summary_of(job_events(senn={"params": 9000, "val_loss": 0.2}))
    rates = worse["exchange_rate"]["quality"]["max_once"]["runs"]
    assert rates["estimate"] == pytest.approx(0.5)
    assert any(re.search(r"cheaper than.* max_once \(", c) for c in worse["caveats"])


@pytest.mark.parametrize("kept", range(0, len(EVENTS), 7))
def test_any_part_of_a_journal_has_a_summary(kept: int) -> None:
    events = [*EVENTS[: max(kept, 1)], JobEnded(state="interrupted", exit_code=130)]
    summary = summary_of(events)
    json.dumps(summary, allow_nan=False)
    assert summary["state"] == "interrupted"
    assert summary["verdict"] is None


def test_diverged_growing_runs_alone_still_give_a_summary() -> None:
    summary = summary_of(job_events(senn={"state": "diverged", "val_loss": math.nan}))
    assert summary["state"] == "failed"
    assert summary["targets"]["quality"]["val_loss"] is None


def test_an_empty_journal_is_refused() -> None:
    with pytest.raises(DataError, match="empty"):
        summary_of([])


def test_one_growing_run_is_its_own_summary() -> None:
    compared = CONFIG.compare.model_copy(update={"seeds": 1})
    config = CONFIG.model_copy(update={"compare": compared, "seed": 5})
    summary = summary_of(job_events("grow", config=config))
    assert set(summary) >= {
        "verb", "state", "stop_reason", "run_id", "dataset", "per_class", "seed",
        "workers", "hidden_start", "hidden", "params", "n_train", "train_loss",
        "val_loss", "val_accuracy", "test_loss", "test_accuracy", "steps",
        "sample_visits", "wall_s", "device_s", "growth_s", "checks", "expansions",
        "runs",
    }  # fmt: skip
    (run,) = summary["runs"]
    assert summary["seed"] == run["seed"] == 5
    assert summary["hidden"] == run["hidden"]
    assert summary["growth_share"] == pytest.approx(5 / run["device_s"])
    assert summary["front"] == run["front"] == []  # Of before there were fronts.
    assert summary["found"] == {"best": None, "one_se": None}


def test_the_front_of_a_run_is_in_its_summary() -> None:
    (record, *_) = (e.record for e in job_events("grow") if isinstance(e, RunFinished))
    rungs = [
        Rung(
            hidden=(width,),
            params=width,
            flops=2 * width,
            val_loss=loss,
            val_accuracy=None,
            gap=loss - 0.25,
            gap_se=0.1,
            steps=10,
            sample_visits=100,
            flops_spent=1e3,
            device_s=1.0,
        )
        for width, loss in ((8, 0.25), (4, 0.26), (2, 0.5))
    ]
    summary = run_summary(dataclasses.replace(record, front=tuple(rungs), found=1))
    assert [row.hidden for row in summary.front] == [(8,), (4,), (2,)]
    assert (summary.found.best, summary.found.one_se) == (0, 1)
    assert {f.name for f in dataclasses.fields(summary.front[0])} == {
        "params", "flops", "hidden", "val_loss", "val_accuracy", "gap", "gap_se",
        "steps", "device_s", "checkpoint",
    }  # fmt: skip


def test_several_growing_runs_give_medians() -> None:
    summary = summary_of(job_events("grow"))
    losses = sorted(run["val_loss"] for run in summary["runs"])
    assert summary["val_loss"] == losses[2]
    assert summary["run_id"] is None
    assert summary["stop_reason"] == "converged"
    assert isinstance(summary["hidden"][0], int)


def test_growing_runs_at_the_cap_are_flagged() -> None:
    summary = summary_of(job_events("grow", senn={"stop_reason": "cap_hit"}))
    assert "5 of 5 runs hit the cap" in summary["caveats"][0]


def test_a_study_keeps_its_best_after_its_end() -> None:
    def study(losses: list[float]) -> Runs:
        ones = np.ones((len(losses), 1))
        return Runs(losses=np.array(losses, float), params=ones[:, 0], costs=ones)

    points = curve([study([3, 1]), study([5, 4, 2])], ["runs"], adaptive=True)
    assert [point.val_loss for point in points] == [4.0, 2.5, 1.5]
    assert [point.cost["runs"] for point in points] == [1.0, 2.0, 2.5]


@pytest.mark.parametrize("verb", ["compare", "grow"])
def test_a_summary_is_read_as_it_was_written(verb: Verb) -> None:
    found = summarise(job_events(verb))
    assert from_json(json.dumps(to_json(found)), source="runs/x") == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"verb": "grow"}', "runs/x has schema version 1, not 2; to rebuild it"),
        ('{"schema_version": 2, "verb": "grow"}', "the summary of runs/x is damaged"),
        ("[]", "is damaged"),
        ("{", "is damaged"),
    ],
)
def test_another_summary_is_one_line_that_says_what_to_type(text, said) -> None:
    with pytest.raises(DataError, match=said) as found:
        from_json(text, source="runs/x")
    assert str(found.value).endswith("type: senn-ray report runs/x")
    assert "\n" not in str(found.value)


def test_the_weightiest_caveats_come_first() -> None:
    weights = [WEIGHTS.index(caveat.weight) for caveat in RESULT.caveats]
    assert weights == sorted(weights)
    assert len(set(weights)) > 1

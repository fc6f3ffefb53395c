import dataclasses
import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from senn_ray.analysis.scan import settle
from senn_ray.config import Config, ScanConfig
from senn_ray.core.errors import ConfigError, DataError
from senn_ray.core.events import Event, JobEnded, RunFinished, TestOpened
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.search.coordinator import run_job
from senn_ray.search.machine import State
from senn_ray.search.plan import Plan
from tests.analysis.summaries import summary_of
from tests.search.fakes import (
    FakeStudies,
    MemoryJournal,
    ShuffledExecutor,
    fake_run,
    started,
)

CLASSES = 10
ALL = 5000
SIZES = (10, 100, 1000, "all")
CONFIG = Config.model_validate({
    "data": {"dataset": "mnist", "subset_seed": 7},
    "scan": {"per_class": SIZES, "subset_seeds": 3},
})


def cell_run(spec: RunSpec, **changes: Any) -> RunRecord:
    """Find ten units for every tenfold of examples, and one more per subset."""
    per_class = ALL if spec.data.per_class == "all" else spec.data.per_class
    width = round(10 * np.log10(per_class)) + spec.trial
    values = {
        "n_train": CLASSES * per_class,
        "per_class": spec.data.per_class,
        "hidden": (width,),
        **changes,
    }
    return dataclasses.replace(fake_run(spec), **values)


def scan_events(
    *,
    config: Config = CONFIG,
    capacity: int = 2,
    run: Callable[[RunSpec], RunRecord] = cell_run,
    choose: Callable[[int], int] = lambda n: n - 1,
) -> tuple[list[Event], list[RunSpec]]:
    journal, executor = MemoryJournal(), ShuffledExecutor(capacity, choose, run)
    run_job(
        State(plan=Plan(verb="scan", config=config), capacity=capacity),
        started(config, "scan"),
        executor=executor,
        journal=journal,
        studies=FakeStudies(),
        observe=lambda _: None,
    )
    return journal.events, executor.submitted


EVENTS, SPECS = scan_events()
SUMMARY = summary_of(EVENTS)


def hurt(where: Callable[[RunSpec], bool], **changes: Any) -> dict[str, Any]:
    def run(spec: RunSpec) -> RunRecord:
        return cell_run(spec, **changes) if where(spec) else cell_run(spec)

    return summary_of(scan_events(run=run)[0])


@settings(max_examples=25, deadline=None)
@given(data=st.data(), capacity=st.integers(1, 14))
def test_every_cell_is_run_once_in_any_order(
    data: st.DataObject, capacity: int
) -> None:
    events, specs = scan_events(
        capacity=capacity, choose=lambda n: data.draw(st.integers(0, n - 1))
    )
    assert sorted(specs, key=lambda s: s.run_id) == sorted(
        SPECS, key=lambda s: s.run_id
    )
    assert events[-1] == JobEnded(state="complete", exit_code=0)
    assert summary_of(events) == SUMMARY


def test_the_cells_are_all_sizes_by_all_subset_seeds_the_largest_first() -> None:
    cells = [(spec.data.per_class, spec.data.subset_seed) for spec in SPECS]
    expected = [(size, seed) for size in reversed(SIZES) for seed in (7, 8, 9)]
    assert cells == expected


def test_cells_differ_in_their_subset_and_seed_only() -> None:
    assert len({spec.run_id for spec in SPECS}) == len(SPECS)
    assert len({spec.seed for spec in SPECS}) == len(SPECS)
    shared = {
        (s.arm, s.kind, s.model, s.train, s.growth, s.workers, s.evaluate_test)
        for s in SPECS
    }
    assert len(shared) == 1
    same = {"per_class": "all", "subset_seed": 0}
    rest = [s.data.model_copy(update=same).model_dump_json() for s in SPECS]
    assert len(set(rest)) == 1


def test_test_data_is_opened_once_for_all_cells() -> None:
    (opened,) = [event for event in EVENTS if isinstance(event, TestOpened)]
    assert set(opened.run_ids) == {spec.run_id for spec in SPECS}


def test_the_summary_keeps_its_contract() -> None:
    cells = SUMMARY["cells"]
    assert [(c["per_class"], c["subset_seed"]) for c in cells] == [
        (size, seed) for size in SIZES for seed in (7, 8, 9)
    ]
    for cell in cells:
        assert set(cell) >= {
            "per_class", "subset_seed", "seed", "hidden", "params", "val_loss",
            "test_accuracy", "stop_reason", "steps", "wall_s",
        }  # fmt: skip
    assert set(SUMMARY["fit"]) >= {"slope", "low", "high", "spearman"}
    assert json.loads(json.dumps(SUMMARY, allow_nan=False)) == SUMMARY


def test_a_known_slope_is_found() -> None:
    fit = SUMMARY["fit"]
    assert fit["slope"] == pytest.approx(10.0, abs=0.1)
    assert fit["low"] <= fit["slope"] <= fit["high"]
    assert fit["spearman"] > 0.95
    assert (fit["cells"], fit["excluded"]) == (12, 0)


def test_all_examples_have_their_place_on_the_axis() -> None:
    places = [row["examples_per_class"] for row in SUMMARY["by_size"]]
    assert places == [10, 100, 1000, ALL]


def test_each_size_has_its_median_and_spread() -> None:
    row = SUMMARY["by_size"][1]
    assert row["hidden"] == [20, 21, 22]
    assert (row["hidden_median"], row["spread"]) == (21, 22 / 20)


@pytest.mark.parametrize(
    ("reason", "said"),
    [("cap_hit", "hit the cap"), ("budget", "did not converge"), ("error", "failed")],
)
def test_cells_that_did_not_converge_are_left_out_and_said_so(
    reason: str, said: str
) -> None:
    summary = hurt(
        lambda spec: spec.data.per_class == "all" and spec.trial == 1,
        stop_reason=reason,
        hidden=(1024,),
    )
    assert summary["fit"]["slope"] == pytest.approx(10.0, abs=0.3)
    assert (summary["fit"]["cells"], summary["fit"]["excluded"]) == (11, 1)
    assert any(said in c and "1 of 12" in c for c in summary["caveats"])
    assert summary["by_size"][-1]["converged"] == 2
    assert 1024 in summary["by_size"][-1]["hidden"]


def test_cells_that_never_grew_are_left_out_and_said_so() -> None:
    start = SPECS[0].model.hidden
    summary = hurt(lambda spec: spec.data.per_class == 10, hidden=start)
    assert (summary["fit"]["cells"], summary["fit"]["excluded"]) == (9, 3)
    assert summary["fit"]["slope"] == pytest.approx(10.0, abs=0.3)
    (said,) = [c for c in summary["caveats"] if "never grew" in c]
    assert said.startswith("3 of 12 cells")
    assert said.endswith("They are not in the fit")
    assert not any("never grew" in c for c in SUMMARY["caveats"])


def test_two_sizes_are_too_few_for_a_fit() -> None:
    summary = hurt(
        lambda spec: spec.data.per_class in (10, "all"), stop_reason="budget"
    )
    assert summary["fit"]["slope"] is None
    assert summary["by_size"][0]["hidden_median"] is None
    assert any("no fit" in caveat for caveat in summary["caveats"])


def test_a_failed_cell_makes_the_exit_code_6() -> None:
    def run(spec: RunSpec) -> RunRecord:
        bad = {"state": "failed", "stop_reason": "error", "val_loss": None}
        return cell_run(spec, **(bad if spec.run_id == SPECS[0].run_id else {}))

    events, _ = scan_events(run=run)
    assert events[-1] == JobEnded(state="complete", exit_code=6)


def test_any_part_of_a_journal_has_a_summary() -> None:
    for length in range(1, len(EVENTS)):
        summary = summary_of(EVENTS[:length])
        finished = sum(isinstance(event, RunFinished) for event in EVENTS[:length])
        assert len(summary["cells"]) == finished
        missing = f"{12 - finished} cells are not finished"
        assert (missing in summary["caveats"]) == (finished < 12)


def test_the_summary_does_not_depend_on_the_order_of_completions() -> None:
    finished = [event for event in EVENTS if isinstance(event, RunFinished)]
    others = [event for event in EVENTS if not isinstance(event, RunFinished)]
    random.Random(0).shuffle(finished)
    assert summary_of([others[0], *finished, *others[1:]]) == SUMMARY


def test_a_scan_of_all_examples_only_has_cells_and_no_fit() -> None:
    config = CONFIG.model_copy(
        update={"scan": CONFIG.scan.model_copy(update={"per_class": ("all",)})}
    )
    summary = summary_of(scan_events(config=config)[0])
    assert len(summary["cells"]) == 3
    assert summary["cells"][0]["examples_per_class"] is None
    assert summary["fit"]["slope"] is None


@pytest.mark.parametrize(
    ("asked", "most", "sizes"),
    [
        ((), 5000, (10, 30, 100, 300, 1000, 3000, "all")),
        ((), 300, (10, 30, 100, "all")),
        ((), 9, ("all",)),
        (("all", 40, 5), 40, (5, 40, "all")),
        ((30, 10), 40, (10, 30)),
    ],
)
def test_sizes_go_as_far_as_the_data(asked: Any, most: int, sizes: Any) -> None:
    assert settle(ScanConfig(per_class=asked), most).per_class == sizes


def test_more_than_there_is_is_an_error_with_the_greatest_number() -> None:
    with pytest.raises(DataError, match=r"scan.per_class=41: .* at most 40"):
        settle(ScanConfig(per_class=(10, 41)), 40)


def test_a_bent_trend_is_a_caveat() -> None:
    def run(spec: RunSpec) -> RunRecord:
        per_class = ALL if spec.data.per_class == "all" else spec.data.per_class
        return cell_run(spec, hidden=(round(4 * per_class**0.5) + spec.trial,))

    said = summary_of(scan_events(run=run)[0])["caveats"]
    assert any("width against log examples is not a straight" in c for c in said)
    assert "width against log examples" not in " ".join(SUMMARY["caveats"])


def test_an_oracle_needs_cells_to_compare_with() -> None:
    with pytest.raises(ConfigError, match=r"scan.oracle=30 is not among .* 10, all;"):
        settle(ScanConfig(per_class=(10, "all"), oracle=(30,)), 40)
    settled = settle(ScanConfig(oracle=(10, "all")), 40)
    assert settled.per_class == (10, 30, "all")

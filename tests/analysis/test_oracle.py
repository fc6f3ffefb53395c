import dataclasses
import json
import math
from typing import Any

from senn_ray.config import Config
from senn_ray.core.events import JobEnded, TestOpened
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.search.arms.fixed import widths
from senn_ray.search.plan import GRID, SENN, Plan
from tests.analysis.summaries import summary_of
from tests.analysis.test_scan import CONFIG, cell_run, scan_events

ENOUGH = {10: 8, "all": 32}
LUCK = (0.5, 0.0, -0.4)


def oracle_run(spec: RunSpec) -> RunRecord:
    """Plain networks are as good as grown ones from a known width on.

    The subset matters far more than the width does.
    """
    luck = LUCK[spec.data.subset_seed - 7]
    record = cell_run(spec, val_loss=1.0 + luck, test_accuracy=0.9)
    if spec.arm == SENN:
        return record
    width = spec.model.hidden[0]
    small = width < ENOUGH[spec.data.per_class]
    loss = 1.0 + luck + (0.3 if small else -0.02) + 1 / (1000 * width)
    return dataclasses.replace(record, hidden=(width,), val_loss=loss)


def config(**changes: Any) -> Config:
    values = CONFIG.model_dump() | {"model": {"max_hidden": 128}}
    values["scan"] |= {"oracle": (10, "all"), **changes}
    return Config.model_validate(values)


EVENTS, SPECS = scan_events(config=config(), run=oracle_run)
PLAIN = [spec for spec in SPECS if spec.arm == GRID]
SUMMARY = summary_of(EVENTS)


def test_the_grid_is_every_doubled_width_on_the_subsets_of_the_cells() -> None:
    plan = Plan(verb="scan", config=config())
    assert widths(plan) == [2, 4, 8, 16, 32, 64, 128]
    found = {(s.data.per_class, s.model.hidden[0], s.data.subset_seed) for s in PLAIN}
    assert found == {
        (size, width, seed)
        for size in (10, "all")
        for width in widths(plan)
        for seed in (7, 8, 9)
    }
    assert len(PLAIN) == len(found) == len({spec.seed for spec in PLAIN})
    assert all(not s.growth.enabled and s.evaluate_test for s in PLAIN)


def test_cells_come_first_and_then_the_most_expensive_runs() -> None:
    arms = [spec.arm for spec in SPECS]
    assert arms == sorted(arms, key=lambda arm: arm == GRID)
    first, last = PLAIN[0], PLAIN[-1]
    assert (first.data.per_class, first.model.hidden) == ("all", (128,))
    assert (last.data.per_class, last.model.hidden) == (10, (2,))


def test_the_smallest_sufficient_width_of_each_size_is_found() -> None:
    found = {r["per_class"]: r["smallest_sufficient_hidden"] for r in SUMMARY["oracle"]}
    assert found == ENOUGH
    for row in SUMMARY["oracle"]:
        assert row["best_fixed_hidden"] == 128
        assert row["best_fixed_test_accuracy"] == 0.9
        assert row["val_loss"] == 1.0
    assert json.loads(json.dumps(SUMMARY, allow_nan=False)) == SUMMARY


def test_the_oracle_changes_nothing_of_the_cells() -> None:
    without = summary_of(scan_events(config=config(oracle=()), run=oracle_run)[0])
    assert without["cells"] == SUMMARY["cells"]
    assert without["fit"] == SUMMARY["fit"]
    assert without["oracle"] == []


def test_all_runs_open_the_test_data_together() -> None:
    (opened,) = [event for event in EVENTS if isinstance(event, TestOpened)]
    assert set(opened.run_ids) == {spec.run_id for spec in SPECS}


def test_two_subset_seeds_show_no_width_to_be_sufficient() -> None:
    events, _ = scan_events(config=config(subset_seeds=2), run=oracle_run)
    summary = summary_of(events)
    assert [r["smallest_sufficient_hidden"] for r in summary["oracle"]] == [None, None]
    assert any("it takes 3 subset seeds" in caveat for caveat in summary["caveats"])


def test_a_width_that_diverges_once_is_not_sufficient() -> None:
    def run(spec: RunSpec) -> RunRecord:
        record = oracle_run(spec)
        if spec.arm == GRID and spec.model.hidden == (8,) and spec.trial % 3 == 1:
            return dataclasses.replace(record, state="diverged", val_loss=math.nan)
        return record

    events, _ = scan_events(config=config(), run=run)
    summary = summary_of(events)
    assert summary["oracle"][0]["smallest_sufficient_hidden"] == 16
    assert "2 runs of the oracle diverged or failed" in summary["caveats"]
    assert events[-1] == JobEnded(state="complete", exit_code=6)


def test_any_part_of_the_journal_has_an_oracle_or_none() -> None:
    for length in range(1, len(EVENTS), 3):
        rows = summary_of(EVENTS[:length])["oracle"]
        assert all(row["widths"] for row in rows)

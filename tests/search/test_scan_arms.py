"""Other arms in the cells of a scan."""

import dataclasses
from typing import Any

import pytest

from senn_ray.analysis.summary import summarise
from senn_ray.config import Config
from senn_ray.core.errors import ConfigError
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.report.detail import closer_tables
from senn_ray.search.plan import GRADMAX, NO_GROWTH, SENN
from senn_ray.search.specs import check_settings
from tests.analysis.summaries import summary_of
from tests.analysis.test_scan import CONFIG, cell_run, scan_events

ARMS = ("gradmax", "no_growth_at_final")
HARM = {SENN: 0.0, GRADMAX: 0.25, NO_GROWTH: 0.125}


def armed_run(spec: RunSpec) -> RunRecord:
    """Other arms are worse than the cell by a known amount, whatever the subset."""
    luck = 0.1 * (spec.data.subset_seed - 7)
    record = cell_run(spec, val_loss=1.0 + luck + HARM[spec.arm])
    if spec.kind == "fixed":
        return dataclasses.replace(record, hidden=spec.model.hidden)
    return record


def config(**scan: Any) -> Config:
    values = CONFIG.model_dump()
    values["scan"] |= {"arms": ARMS, **scan}
    return Config.model_validate(values)


EVENTS, SPECS = scan_events(config=config(), run=armed_run)
SUMMARY = summary_of(EVENTS)
CELLS = [spec for spec in SPECS if spec.arm == SENN]


def test_every_cell_has_a_run_of_every_arm_on_its_subset_with_its_seed() -> None:
    def cells(arm: str) -> set[tuple[object, ...]]:
        return {
            (s.data.per_class, s.data.subset_seed, s.seed)
            for s in SPECS
            if s.arm == arm
        }

    assert len(cells(SENN)) == len(CELLS)
    assert cells(GRADMAX) == cells(NO_GROWTH) == cells(SENN)
    assert len(SPECS) == 3 * len(CELLS)


def test_plain_networks_get_the_widths_that_their_cell_has_found() -> None:
    found = {(s.data.per_class, s.seed): armed_run(s).hidden for s in CELLS}
    for spec in SPECS:
        if spec.arm == NO_GROWTH:
            assert spec.kind == "fixed"
            assert spec.model.hidden == found[spec.data.per_class, spec.seed]
        if spec.arm == GRADMAX:
            assert spec.growth.score == "gradient"


def test_differences_are_of_pairs_so_the_subsets_do_not_blur_them() -> None:
    rows = SUMMARY["paired_by_size"]
    sizes = len(config().scan.per_class)
    assert [row["arm"] for row in rows] == sizes * sorted(ARMS)
    for row in rows:
        for end in ("excess", "low", "high"):
            assert row[end] == pytest.approx(HARM[row["arm"]])
        assert row["pairs"] == len(row["hidden"]) == config().scan.subset_seeds


def test_the_arms_change_nothing_in_the_trend_of_the_cells() -> None:
    alone, _ = scan_events(config=config(arms=()), run=armed_run)
    assert summary_of(alone)["fit"] == SUMMARY["fit"]
    assert summary_of(alone)["paired_by_size"] == []


def test_the_report_has_a_row_for_every_size_and_arm() -> None:
    (table,) = [
        t
        for t in closer_tables(summarise(EVENTS))
        if t.title.startswith("Cell by cell")
    ]
    assert len(table.rows) == len(SUMMARY["paired_by_size"])


def test_blocks_are_not_described_by_widths() -> None:
    values = config().model_dump() | {"model": {"kind": "conv"}}
    with pytest.raises(ConfigError, match=r"scan\.arms no_growth_at_final"):
        check_settings("scan", Config.model_validate(values))

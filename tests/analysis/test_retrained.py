"""Winners trained again: means over fresh seeds, with intervals."""

import dataclasses
import itertools
import statistics

import pytest

from senn_ray.analysis.statistics import mean_interval
from senn_ray.core.events import RunFinished
from tests.analysis.summaries import summary_of
from tests.analysis.test_hits import RECORDS
from tests.analysis.test_summary import CONFIG, EVENTS, SUMMARY

ROWS = SUMMARY["retrained"]


def test_the_confirmed_values_are_told_with_the_interval_of_their_mean() -> None:
    for arm, targets in SUMMARY["confirmed"].items():
        for name, confirmed in targets.items():
            (row,) = [r for r in ROWS if (r["arm"], r["target"]) == (arm, name)]
            assert row["seeds"] == confirmed["seeds"] == CONFIG.compare.retrain_seeds
            for value in ("val_loss", "test_loss", "test_accuracy"):
                assert row[value]["estimate"] == pytest.approx(confirmed[value])
    (row,) = [r for r in ROWS if (r["arm"], r["target"]) == ("max_once", "quality")]
    again = [r for r in RECORDS if r.arm == "confirm" and r.hidden == (128,)]
    losses = [r.test_loss for r in again if r.test_loss is not None]
    low, high = mean_interval(losses)
    assert (row["test_loss"]["low"], row["test_loss"]["high"]) == (low, high)


def test_growing_runs_and_plain_ones_of_their_width_stand_first() -> None:
    ours, plain = ROWS[:2]
    losses = [r.val_loss for r in RECORDS if r.arm == "senn" and r.val_loss]
    assert ours["arm"] == "senn"
    assert ours["val_loss"]["estimate"] == pytest.approx(statistics.fmean(losses))
    assert plain["arm"] == "plain_at_senn_size"
    assert plain["hidden"] == SUMMARY["size"]["plain_at_senn_size"]["hidden"]


def test_before_the_targets_are_locked_nothing_was_trained_again() -> None:
    assert summary_of(EVENTS[:3])["retrained"] == []


def test_no_interval_promises_more_than_every_example() -> None:
    unlike = itertools.cycle((0.8, 1.0))
    events = [
        RunFinished(record=dataclasses.replace(e.record, test_accuracy=next(unlike)))
        if isinstance(e, RunFinished) and e.record.arm == "confirm"
        else e
        for e in EVENTS
    ]
    rows = summary_of(events)["retrained"]
    found = [r["test_accuracy"] for r in rows if r["test_accuracy"]]
    assert any(value["high"] == 1.0 for value in found)
    assert all(0 <= value["low"] <= value["high"] <= 1 for value in found)

"""Runs to a hit at every target: one formula for all arms."""

import math

import pytest

from senn_ray.analysis.statistics import clopper_pearson, least_searches
from senn_ray.core.events import RunFinished
from senn_ray.core.records import RunRecord
from senn_ray.search.arms import find
from tests.analysis.summaries import summary_of
from tests.analysis.test_summary import EVENTS, SUMMARY, job_events

KNOWN = SUMMARY["over_targets"]
RECORDS = [event.record for event in EVENTS if isinstance(event, RunFinished)]
FAMILIES = ("quality", "quality_at_size")


def _losses(record: RunRecord, name: str) -> list[float]:
    """List what a run has reached: with any network of its front, unless it grows."""
    limit = SUMMARY["targets"][name]["max_params"] or math.inf
    whole = [(record.params, record.val_loss or math.inf)]
    if record.front and not find(record.arm).grows:
        whole = [(rung.params, rung.val_loss) for rung in record.front]
    return [loss for params, loss in whole if params <= limit]


def _scores(name: str) -> list[float]:
    arms = KNOWN[name]["arms"]
    return [loss for r in RECORDS if r.arm in arms for loss in _losses(r, name)]


@pytest.mark.parametrize("name", FAMILIES)
def test_targets_go_from_the_best_to_the_worst_score_and_hold_the_headline(
    name: str,
) -> None:
    losses = KNOWN[name]["losses"]
    scores = [loss for loss in _scores(name) if math.isfinite(loss)]
    assert losses == sorted(set(losses))
    assert (losses[0], losses[-1]) == (min(scores), max(scores))
    assert SUMMARY["targets"][name]["val_loss"] == KNOWN[name]["headline"]
    assert KNOWN[name]["headline"] in losses
    assert len(losses) <= 21


@pytest.mark.parametrize("name", FAMILIES)
def test_every_arm_of_independent_runs_has_the_exact_interval(name: str) -> None:
    arms = KNOWN[name]["arms"]
    assert set(arms) == set(SUMMARY["arms"][name])
    assert "senn" in arms
    for arm in (arm for arm in arms if find(arm).search == "run"):
        own = [r for r in RECORDS if r.arm == arm]
        for point in arms[arm]:
            least_of = [min(_losses(r, name), default=math.inf) for r in own]
            hits = sum(loss <= point["val_loss"] for loss in least_of)
            assert (point["hits"], point["searches"]) == (hits, len(own))
            if not hits:
                assert point["runs"]["bound"]
                assert point["runs"]["low"] == pytest.approx(least_searches(len(own)))
                continue
            least, most = clopper_pearson(hits, len(own))
            found = [point["runs"][end] for end in ("estimate", "low", "high")]
            assert found == pytest.approx([len(own) / hits, 1 / most, 1 / least])


@pytest.mark.parametrize("name", FAMILIES)
def test_easier_targets_are_hit_at_least_as_often(name: str) -> None:
    for points in KNOWN[name]["arms"].values():
        hits = [point["hits"] for point in points]
        assert hits == sorted(hits)


def test_arms_that_never_hit_tell_what_they_reach() -> None:
    for name in FAMILIES:
        rows, headline = SUMMARY["arms"][name], KNOWN[name]["headline"]
        missed = {
            arm
            for arm, row in rows.items()
            if not row["hits"] and row["best_val_loss"] is not None
        }
        assert set(KNOWN[name]["reached"]) == missed
        for arm, row in KNOWN[name]["reached"].items():
            assert row["val_loss"] == rows[arm]["best_val_loss"] > headline
            assert row["hits"] >= 1
            assert row["runs"]["estimate"] >= 1
            assert row["senn"]["estimate"] >= 1


def test_an_arm_behind_the_target_is_told_with_the_runs_to_its_own_best() -> None:
    good = summary_of(job_events(senn={"val_loss": 0.01}))
    reached = good["over_targets"]["quality"]["reached"]
    assert set(reached) == set(good["arms"]["quality"]) - {"senn"}
    assert all(row["senn"]["estimate"] == 1 for row in reached.values())


def test_before_the_targets_are_locked_there_are_no_curves() -> None:
    assert summary_of(EVENTS[:3])["over_targets"] == {}

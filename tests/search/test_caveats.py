"""What the summary says when a number would mislead (E15, E19 and E20 of the errors)."""

import dataclasses
import re

from senn_ray.events import RunFinished
from senn_ray.search.summary import summarise
from tests.search.fakes import make_config
from tests.search.test_summary import job_events


def test_e15_seconds_of_unlike_devices_are_not_compared() -> None:
    events = [
        RunFinished(record=dataclasses.replace(e.record, device_name=e.record.kind))
        if isinstance(e, RunFinished)
        else e
        for e in job_events("compare")
    ]
    summary = summarise(events)
    said = next(text for text in summary["caveats"] if "different devices" in text)
    assert "5 runs grow" in said
    assert "device seconds are not compared" in said
    for rates in summary["exchange_rate"]["quality"].values():
        assert rates["device_s"]["estimate"] is None
        assert rates["steps"]["estimate"] or rates["steps"]["low"]


def test_e19_an_arm_that_never_hits_gets_bounds_and_the_gap_is_told() -> None:
    summary = summarise(job_events("compare"))
    caveats = " | ".join(summary["caveats"])
    assert "max_once never reached quality at size in" in caveats
    assert "bounds only; no run was small enough" in caveats
    hitless = job_events("compare", senn={"val_loss": 0.01})
    said = " | ".join(summarise(hitless)["caveats"])
    assert re.search(r"never reached quality in \d+ runs: bounds only; its best", said)
    assert re.search(r"is 0\.\d+, the target 0\.01", said)


def test_e20_too_few_seeds_give_numbers_but_no_verdict() -> None:
    config = make_config()
    few = config.compare.model_copy(update={"seeds": 3})
    events = job_events("compare", config=config.model_copy(update={"compare": few}))
    summary = summarise(events)
    assert summary["verdict"] is None
    assert any("3 self-expanding runs are too few" in w for w in summary["withheld"])
    assert summary["exchange_rate"]["quality"]["random"]["runs"]["estimate"]


def test_runs_that_learned_nothing_are_told() -> None:
    events = job_events("compare")
    assert not any("features" in text for text in summarise(events)["caveats"])
    lost = [
        RunFinished(record=dataclasses.replace(e.record, guess_val_loss=0.01))
        if isinstance(e, RunFinished)
        else e
        for e in events
    ]
    said = next(text for text in summarise(lost)["caveats"] if "features" in text)
    assert said.startswith("5 of 5 self-expanding runs predict no better")
    assert "by guessing 0.01" in said

"""What the summary says when a number would mislead (E15, E19 and E20 of the errors)."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

from senn_ray.core.events import Event, JobResumed, RunFinished
from senn_ray.core.records import RunRecord
from tests.analysis.summaries import summary_of
from tests.analysis.test_summary import job_events
from tests.search.fakes import make_config


def test_e15_seconds_of_unlike_devices_are_not_compared() -> None:
    events = [
        RunFinished(record=dataclasses.replace(e.record, device_name=e.record.kind))
        if isinstance(e, RunFinished)
        else e
        for e in job_events("compare")
    ]
    summary = summary_of(events)
    said = next(text for text in summary["caveats"] if "different devices" in text)
    assert "5 runs grow" in said
    assert "device seconds are not compared" in said
    for rates in summary["exchange_rate"]["quality"].values():
        assert rates["device_s"]["estimate"] is None
        assert rates["steps"]["estimate"] or rates["steps"]["low"]


def test_e19_an_arm_that_never_hits_gets_bounds_and_the_gap_is_told() -> None:
    summary = summary_of(job_events("compare"))
    (said,) = (text for text in summary["caveats"] if "never reached" in text)
    assert said.startswith("never reached quality at size, so bounds only")
    assert re.search(r"max_once \(none small enough of \d+ runs\)", said)
    hitless = job_events("compare", senn={"val_loss": 0.01})
    said = " | ".join(summary_of(hitless)["caveats"])
    assert "never reached quality, so bounds only (the target is 0.01): " in said
    assert re.search(r"random \(best 0\.\d+ of \d+ runs\)", said)


def test_e20_too_few_seeds_give_numbers_but_no_verdict() -> None:
    config = make_config()
    few = config.compare.model_copy(update={"seeds": 3})
    events = job_events("compare", config=config.model_copy(update={"compare": few}))
    summary = summary_of(events)
    assert summary["verdict"] is None
    assert any("3 self-expanding runs are too few" in w for w in summary["withheld"])
    assert summary["exchange_rate"]["quality"]["random"]["runs"]["estimate"]


def test_runs_that_learned_nothing_are_told() -> None:
    events = job_events("compare")
    assert not any("features" in text for text in summary_of(events)["caveats"])
    lost = [
        RunFinished(record=dataclasses.replace(e.record, guess_val_loss=0.01))
        if isinstance(e, RunFinished)
        else e
        for e in events
    ]
    said = next(text for text in summary_of(lost)["caveats"] if "features" in text)
    assert said.startswith("5 of 5 self-expanding runs predict no better")
    assert "of the constant 0.01" in said


def altered(
    events: Sequence[Event], where: Callable[[RunRecord], bool], **changes: Any
) -> list[Event]:
    return [
        RunFinished(record=dataclasses.replace(e.record, **changes))
        if isinstance(e, RunFinished) and where(e.record)
        else e
        for e in events
    ]


def test_an_arm_with_failed_runs_gets_no_verdict_and_is_told_what_to_type() -> None:
    events = job_events("compare")
    assert " random" in (summary_of(events)["verdict"] or "")

    def one(record: RunRecord) -> bool:
        return record.run_id == "random-0-001"

    lost = summary_of(altered(events, one, state="failed", device_name="?"))
    assert " random" not in lost["verdict"]
    assert "max_once" in lost["verdict"]
    (said,) = [text for text in lost["caveats"] if "--retry-failed" in text]
    assert said.startswith("no verdict on random: 1 of its 12 runs failed")
    # Nobody knows where a failed run would have been.
    assert not any("different devices" in text for text in lost["caveats"])
    diverged = summary_of(altered(events, one, state="diverged"))
    assert " random" in diverged["verdict"]
    assert "1 fixed runs diverged; they count" in diverged["caveats"]


def test_runs_of_mixed_versions_are_told() -> None:
    events = job_events("compare")
    assert not any("mixed versions" in text for text in summary_of(events)["caveats"])
    other = {"senn-ray": "1", "code": "abc"}
    again = JobResumed(versions=other, where="", resubmitted=())
    place = len(events) // 2
    mixed = [*events[:place], again, *events[place:]]
    (said,) = [text for text in summary_of(mixed)["caveats"] if "versions" in text]
    # A journal from before there was a hash of the code says nothing of it.
    assert said.startswith("runs of mixed versions (senn-ray 0, 1):")
    idle = [*events[:-1], again, events[-1]]
    assert not any("mixed" in text for text in summary_of(idle)["caveats"])


def test_few_or_unlike_validation_examples_are_told_in_every_verb() -> None:
    for verb in ("compare", "grow"):
        events = altered(job_events(verb), lambda _: True, n_val=200, val_share_gap=0.1)
        assert not any(
            "validation examples" in c for c in summary_of(events)["caveats"]
        )
        few = altered(events, lambda _: True, n_val=99, val_share_gap=0.32)
        said = " | ".join(summary_of(few)["caveats"])
        assert "means over 99 examples only" in said
        assert "(they differ by 32%)" in said


def test_a_comparison_says_what_its_intervals_are_over_and_that_no_run_ends_early() -> (
    None
):
    caveats = summary_of(job_events("compare"))["caveats"]
    (sample,) = [text for text in caveats if "not over samples of the data" in text]
    assert "the same 1000 training examples (data.subset_seed 0)" in sample
    assert any("do not end early" in text for text in caveats)
    assert not any(
        "do not end early" in c for c in summary_of(job_events("grow"))["caveats"]
    )


def test_cheaper_means_that_the_whole_interval_is_below_one() -> None:
    summary = summary_of(job_events("compare", senn={"params": 9000, "val_loss": 0.2}))
    names = {"device_s": "device seconds", "sample_visits": "sample visits"}
    clear, perhaps = set(), set()
    for arm, rate in summary["exchange_rate"]["quality"].items():
        for currency, value in rate.items():
            if value["estimate"] is not None and value["estimate"] < 1:
                below = value["high"] is not None and value["high"] < 1
                found = clear if below else perhaps
                found.add((arm, names.get(currency, currency)))
    assert clear
    assert perhaps
    start = "for quality cheaper than growing: "
    unsure = "for quality perhaps cheaper than growing (the interval includes 1): "
    assert told(summary["caveats"], start) == clear
    assert told(summary["caveats"], unsure) == perhaps


def told(caveats: list[str], start: str) -> set[tuple[str, str]]:
    (line,) = (text for text in caveats if text.startswith(start))
    arms = re.findall(r"(\w+) \(([^)]*)\)", line.removeprefix(start))
    return {(arm, currency) for arm, said in arms for currency in said.split(", ")}

"""What a report costs grows as the number of runs does, not as its square."""

import sys
from collections import Counter
from types import FrameType
from typing import Any

import pytest

from senn_ray.analysis.status import status
from senn_ray.analysis.summary import summarise
from senn_ray.core.events import Event
from senn_ray.report import tables
from tests.analysis.long_journal import long_journal
from tests.analysis.summaries import summary_of

FEW, MANY = 200, 800
MOST = 1.5 * MANY / FEW


def work(events: list[Event]) -> dict[str, float]:
    """Count the calls of all functions, C functions included, of each reader."""
    calls: Counter[str] = Counter()
    reader = ""

    def count(frame: FrameType, event: str, argument: Any) -> None:
        del frame, argument
        if event in {"call", "c_call"}:
            calls[reader] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        reader = "summary"
        summary = summarise(events)
        reader = "tables"
        tables.build(events, summary)
        reader = "status"
        status([(float(n), event) for n, event in enumerate(events)], now=None)
    finally:
        sys.setprofile(before)
    return dict(calls)


@pytest.mark.slow
def test_four_times_the_runs_take_about_four_times_the_calls() -> None:
    few, many = work(long_journal(FEW)), work(long_journal(MANY))
    ratios = {reader: many[reader] / few[reader] for reader in few}
    assert max(ratios.values()) < MOST, ratios


@pytest.mark.slow
def test_curves_of_thousands_of_runs_stay_short() -> None:
    curves = summary_of(long_journal(MANY))["curves"]
    runs = [point["runs"] for point in curves["random"]]
    assert runs[:64] == list(range(1, 65))
    assert runs[-1] == 2 * MANY // 5
    assert len(runs) < 110

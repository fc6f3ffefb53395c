"""Summaries as scripts read them: the values of ``summary.json``."""

from collections.abc import Sequence
from typing import Any

from senn_ray.analysis.results import (
    CompareSummary,
    GrowSummary,
    ScanSummary,
    Summary,
    to_json,
)
from senn_ray.analysis.summary import summarise
from senn_ray.core.events import Event


def read(summary: Summary) -> dict[str, Any]:
    """Return the JSON values of a summary; of caveats their texts alone."""
    values = to_json(summary)
    return {**values, "caveats": [caveat["text"] for caveat in values["caveats"]]}


def summary_of(events: Sequence[Event]) -> dict[str, Any]:
    """Summarise a journal, as JSON values."""
    return read(summarise(events))


def compared(events: Sequence[Event]) -> CompareSummary:
    """Summarise the journal of a comparison."""
    summary = summarise(events)
    assert isinstance(summary, CompareSummary)
    return summary


def scanned(events: Sequence[Event]) -> ScanSummary:
    """Summarise the journal of a scan."""
    summary = summarise(events)
    assert isinstance(summary, ScanSummary)
    return summary


def grown(events: Sequence[Event]) -> GrowSummary:
    """Summarise the journal of ``grow``."""
    summary = summarise(events)
    assert isinstance(summary, GrowSummary)
    return summary

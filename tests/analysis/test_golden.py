"""The journals of yesterday give the numbers of yesterday, to the last digit."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

from senn_ray.analysis.results import to_json
from senn_ray.analysis.summary import summarise
from senn_ray.report import tables
from tests.golden import journals

# Words may become better; numbers may not.
WORDS = frozenset({"caveats", "verdict", "withheld"})
# Exact intervals of hit probabilities come from a root finder (scipy.stats.binomtest).
TOLERANCE = 1e-9


def differences(was: Any, now: Any, place: str = "") -> Iterator[str]:
    """Name every value that was there and is not the same now."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in was.keys() - WORDS:
            if key in now:
                yield from differences(was[key], now[key], f"{place}.{key}")
            else:
                yield f"{place}.{key} is gone"
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for number, pair in enumerate(zip(was, now, strict=True)):
            yield from differences(*pair, f"{place}[{number}]")
    elif not same(was, now):
        yield f"{place} was {was!r}, is {now!r}"


def same(was: Any, now: Any) -> bool:
    if isinstance(was, float) and isinstance(now, float | int):
        return math.isclose(was, now, rel_tol=TOLERANCE, abs_tol=1e-12)
    return type(was) is type(now) and was == now


@pytest.mark.parametrize("name", journals.NAMES)
def test_summary_and_tables_of_old_journals_stay_the_same(name: str) -> None:
    events, was = journals.events(name), journals.expected(name)
    summary = summarise(events)
    now = {
        "summary": to_json(summary),
        "tables": {n: t.to_pydict() for n, t in tables.build(events, summary).items()},
    }
    assert list(differences(was, now)) == []


def test_a_changed_number_is_seen() -> None:
    was = journals.expected("grow")["summary"]
    (loss,) = (run["val_loss"] for run in was["runs"][:1])
    now = {**was, "runs": [{**was["runs"][0], "val_loss": loss * (1 + 1e-8)}]}
    assert list(differences(was["runs"][:1], now["runs"])) == [
        f"[0].val_loss was {loss!r}, is {loss * (1 + 1e-8)!r}"
    ]
    assert list(differences({"a": 1}, {})) == [".a is gone"]
    assert list(differences([1], [1, 2])) == [" was [1], is [1, 2]"]

"""Which growth traces a page holds, and which lie beside it as files.

A trace is some 30 kB; those of many seeds would make a page that no phone likes. So the
page holds a few, of each arm first the run of median, of least and of greatest loss;
some more are files, with links. Drawing one takes a third of a second, so of hundreds of
runs the others are not drawn; their data are in the tables.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from senn_ray.core.records import FAULTY, RunRecord

if TYPE_CHECKING:
    from senn_ray.report.drawing import Figure

MOST_INLINE = 12
MOST_DRAWN = 24
MOST_BYTES = 400_000
"""Of all traces in a page: those of long runs are heavy, so fewer of them fit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Traces:
    """The growth traces of a job."""

    inline: tuple["Figure", ...] = ()
    apart: tuple["Figure", ...] = ()
    left_out: int = 0
    """Runs whose traces are not drawn."""


def traces(records: Sequence[RunRecord]) -> Traces:
    """Draw how runs grew.

    Args:
        records: Self-expanding runs, the most telling ones first; those without an
            evaluation have no trace.
    """
    from senn_ray.report.growth_figures import growth_trace

    traced = [record for record in records if record.evaluations]
    drawn = [growth_trace(record) for record in traced[:MOST_DRAWN]]
    fit = _number_that_fits(drawn)
    return Traces(
        inline=tuple(drawn[:fit]),
        apart=tuple(drawn[fit:]),
        left_out=len(traced) - len(drawn),
    )


def by_weight(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Put the runs first that tell most: median, best and worst of each arm in turn."""
    named = {record.arm for record in records}
    arms = sorted(named, key=lambda arm: (arm != "senn", arm))
    ranked = [list(_ranked([r for r in records if r.arm == arm])) for arm in arms]
    firsts = chain.from_iterable(zip_longest(*(own[:3] for own in ranked)))
    first = [record for record in firsts if record is not None]
    chosen = {record.run_id for record in first}
    return [*first, *(r for r in records if r.run_id not in chosen)]


def _ranked(records: Sequence[RunRecord]) -> Iterator[RunRecord]:
    """Give median, best and worst run; each run at most once."""
    ordered = sorted(records, key=_loss)
    known = [record for record in ordered if math.isfinite(_loss(record))] or ordered
    places = dict.fromkeys(((len(known) - 1) // 2, 0, len(known) - 1))
    return (known[place] for place in places)


def _loss(record: RunRecord) -> float:
    loss = record.val_loss
    faulty = record.state in FAULTY or loss is None or math.isnan(loss)
    return math.inf if faulty or loss is None else loss


def _number_that_fits(drawn: Sequence["Figure"]) -> int:
    total = 0
    for number, figure in enumerate(drawn[:MOST_INLINE]):
        total += len(figure.svg)
        if total > MOST_BYTES and number:
            return number
    return min(len(drawn), MOST_INLINE)

"""The networks of a run as rows: what each is worth, and what it has cost.

A run that is walked down returns a whole front. Its networks come one after the other,
largest first, so whoever looks for one of them pays up to its rung, and no more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from senn_ray.analysis.ledger import cost_row
from senn_ray.analysis.statistics import Floats, Runs
from senn_ray.core.records import RunRecord
from senn_ray.search.targets import CURRENCIES, Currency, score

COSTS: dict[Currency, str] = {
    "steps": "steps",
    "sample_visits": "sample_visits",
    "flops": "flops_spent",
    "device_s": "device_s",
}
"""The fields of a rung that say what a run had used when it ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A network that a run has returned."""

    hidden: tuple[int, ...]
    params: int
    val_loss: float
    """Infinite if the run diverged or failed."""


def found(record: RunRecord) -> Network:
    """Return the network of the size that a run has found."""
    return Network(hidden=record.hidden, params=record.params, val_loss=score(record))


def networks(record: RunRecord) -> list[Network]:
    """List the networks of a run, in the order in which they were there."""
    if len(record.front) < 2 or not math.isfinite(score(record)):
        return [found(record)]
    return [
        Network(hidden=rung.hidden, params=rung.params, val_loss=rung.val_loss)
        for rung in record.front
    ]


def as_runs(records: Sequence[RunRecord]) -> Runs:
    """Return records as arrays, a row for each run: its found size, its whole cost."""
    return Runs(
        losses=np.array([score(record) for record in records]),
        params=np.array([record.params for record in records], dtype=float),
        costs=np.array([cost_row(record) for record in records]),
    )


def as_bests(records: Sequence[RunRecord]) -> Runs:
    """Return records as arrays, a row for each run: its best network, its whole cost."""
    best = [min(networks(r), key=lambda net: net.val_loss) for r in records]
    return Runs(
        losses=np.array([net.val_loss for net in best]),
        params=np.array([net.params for net in best], dtype=float),
        costs=np.array([cost_row(record) for record in records]),
    )


def as_networks(records: Sequence[RunRecord]) -> Runs:
    """Return records as arrays, a row for each network, with what it added to the cost.

    The first network of a run counts as the run, those after it as none. What a run has
    used after its last rung (measuring, writing) is the last one's.
    """
    rows = [network for record in records for network in networks(record)]
    return Runs(
        losses=np.array([row.val_loss for row in rows]),
        params=np.array([row.params for row in rows], dtype=float),
        costs=np.concatenate([_added(record) for record in records]),
    )


def _added(record: RunRecord) -> Floats:
    """Return what each network of a run adds to its cost [n, c]."""
    count = len(networks(record))
    spent = np.zeros((count + 1, len(CURRENCIES)))
    spent[1:] = cost_row(record)
    for place, rung in enumerate(record.front[: count - 1], 1):
        for column, currency in enumerate(CURRENCIES):
            if currency in COSTS:
                spent[place, column] = getattr(rung, COSTS[currency])
    return np.diff(spent, axis=0)

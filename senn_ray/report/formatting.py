"""Numbers as people read them."""

import math
from collections.abc import Iterable

from senn_ray.analysis.results import (
    CellPairs,
    Fit,
    Forms,
    Interval,
    LedgerRow,
    OracleRow,
    Pairs,
    Promises,
    SizeFound,
)
from senn_ray.core.numbers import significant
from senn_ray.search.targets import Currency, TargetName

MINUTE_S = 60
HOUR_S = 3600
UNKNOWN = "–"
CLEAR = 0.9
"""Share of Akaike's weights from which on one of two forms is clearly better."""
WHOLE_FROM = 100
THOUSAND, ROUND_UP = 1000.0, 999.5
TARGET_NAMES: dict[TargetName, str] = {
    "quality": "Quality",
    "quality_at_size": "Quality at size",
}
TARGET_TITLES: dict[TargetName, str] = {
    "quality": "Quality: validation loss at most {val_loss}",
    "quality_at_size": "Quality at size: validation loss at most {val_loss}, "
    "parameters at most {max_params}",
}
TIMES: dict[Currency, str] = {
    "runs": "runs ×",
    "steps": "steps ×",
    "sample_visits": "sample visits ×",
    "flops": "FLOPs ×",
    "device_s": "device seconds ×",
}
"""Columns of exchange rates."""
UNITS = ("k", "M", "G", "T", "P", "E")


def number(value: float | None) -> str:
    """Write a number with three or four significant digits."""
    if value is None:
        return UNKNOWN
    return f"{value:.4f}" if 0.01 <= abs(value) < 1 else significant(value, 3)


def widths(values: int | float | Iterable[int] | None) -> str:
    """Write the widths of the hidden layers, such as ``43`` or ``64-32``."""
    if values is None:
        return UNKNOWN
    if isinstance(values, int | float):
        return significant(values, 6)
    return "-".join(significant(value, 6) for value in values) or "none"


def count(value: float | None) -> str:
    """Write a large number with three digits and a unit, such as ``12.3 M``."""
    if value is None:
        return UNKNOWN
    size, unit = float(value), ""
    for larger in UNITS:
        if abs(size) < ROUND_UP:
            break
        size, unit = size / THOUSAND, larger
    return f"{significant(size, 3)} {unit}".rstrip()


def share(value: float | None, digits: int = 2) -> str:
    """Write a share in per cent."""
    return UNKNOWN if value is None else f"{value:.{digits}%}"


def duration(seconds: float | None) -> str:
    """Write a time span."""
    if seconds is None:
        return UNKNOWN
    if seconds < MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < HOUR_S:
        return f"{seconds / MINUTE_S:.1f} min"
    return f"{seconds / HOUR_S:.1f} h"


def interval(values: Interval | SizeFound | None) -> str:
    """Write an estimate with its 95 % interval, or the bound that is known."""
    if not values:
        return UNKNOWN
    estimate, low, high = values.estimate, values.low, values.high
    if estimate is None or (isinstance(values, Interval) and values.bound):
        return UNKNOWN if low is None else f"≥ {_short(low)}"
    if low is None:
        return _short(estimate)
    top = "∞" if high is None else _short(high)
    return f"{_short(estimate)} [{_short(low)}, {top}]"


def negative(values: Interval) -> Interval:
    """Turn the sign of an interval, as for the difference the other way round."""
    estimate, high, low = (
        None if end is None else -end
        for end in (values.estimate, values.low, values.high)
    )
    return Interval(estimate=estimate, low=low, high=high)


def relative(values: Interval) -> str:
    """Write a difference of logarithms as a change in per cent, with its interval."""
    ends = [
        None if end is None else math.expm1(end)
        for end in (values.estimate, values.low, values.high)
    ]
    estimate, low, high = (UNKNOWN if e is None else f"{e:+.1%}" for e in ends)
    return estimate if low == UNKNOWN else f"{estimate} [{low}, {high}]"


def precise(values: Interval | None, *, share: bool = False) -> str:
    """Write a measured value with its 95 % interval, with four digits or in per cent.

    Args:
        values: ``estimate``, ``low`` and ``high``, the ends perhaps unknown.
        share: Whether it is a share.
    """
    if not values or values.estimate is None:
        return UNKNOWN
    estimate, low, high = (
        UNKNOWN if end is None else f"{end:.2%}" if share else number(end)
        for end in (values.estimate, values.low, values.high)
    )
    return estimate if low == UNKNOWN else f"{estimate} [{low}, {high}]"


def trend(fit: Fit) -> str:
    """Say in one sentence how hidden units follow from examples."""
    if fit.slope is None:
        return "No trend: too few sizes have converged."
    slope, exponent = (
        interval(Interval(estimate=line.slope, low=line.low, high=line.high))
        for line in (fit, fit.log_log)
    )
    ranks = "" if fit.spearman is None else f"; Spearman {fit.spearman:.2f}"
    return (
        f"Hidden units per tenfold of examples: {slope}; exponent of a "
        f"power law: {exponent} (95 % over subset seeds){ranks}."
    )


def form(found: Forms | None) -> str | None:
    """Say in one sentence which form fits a trend better; nothing with too few cells."""
    if not found:
        return None
    said = {
        "power_law": "a power law fits better than a form that levels off",
        "saturating": f"a form that levels off at {significant(found.saturating.limit, 3)} units "
        "fits better than a power law",
    }
    unclear = "" if found.weight >= CLEAR else ": too close to tell"
    return (
        f"Of two forms, {said[found.chosen]} (AICc weight {found.weight:.2f}){unclear}."
    )


def spent(total: LedgerRow) -> str | None:
    """Say in one sentence what a job has used; nothing before a run is finished."""
    if not total.runs:
        return None
    wasted = total.wasted_device_s
    lost = f"; wasted {duration(wasted)}" if wasted else ""
    return (
        f"Spent: {total.runs:g} runs, {count(total.steps)} steps, "
        f"{count(total.sample_visits)} sample visits, {count(total.flops)} FLOPs, "
        f"{duration(total.device_s)} of device time{lost}."
    )


def correlation(found: Promises) -> str:
    """Say how well promises rank outcomes; nothing if that is not known."""
    if found.spearman is None:
        return ""
    many = found.runs > 1
    over = f" of {found.runs} runs" if many else ""
    within = found.spearman_within
    typical = (
        f"; within a run, {within:.2f} (median)" if many and within is not None else ""
    )
    return (
        f" Rank correlation (Spearman) {found.spearman:.2f} over {found.checks} "
        f"checks{over}{typical}."
    )


def oracle(row: OracleRow) -> str:
    """Say in one sentence what plain networks need at one size."""
    least = row.smallest_sufficient_hidden
    enough = (
        "no width was shown to be sufficient"
        if least is None
        else (f"the smallest sufficient width is {least}")
    )
    accuracy = row.best_fixed_test_accuracy
    share = "" if accuracy is None else f", test accuracy {accuracy:.2%}"
    return (
        f"Plain networks, {row.per_class} per class: {enough}; the best is "
        f"{row.best_fixed_hidden} (validation loss "
        f"{number(row.best_fixed_val_loss)}{share})."
    )


def difference(row: Pairs) -> str:
    """Write the mean difference of pairs with its interval."""
    return interval(Interval(estimate=row.excess, low=row.low, high=row.high))


def pairs(row: CellPairs) -> str:
    """Say in one sentence how an arm of a scan did beside its cells, at one size."""
    found = " ".join(map(str, row.hidden))
    return (
        f"{row.arm}, {row.per_class} per class: hidden {found}, validation loss "
        f"against self-expanding runs {difference(row)}."
    )


def _short(value: float) -> str:
    """Write two significant digits, but never cut the units of large counts."""
    return f"{value:.0f}" if abs(value) >= WHOLE_FROM else significant(value, 2)

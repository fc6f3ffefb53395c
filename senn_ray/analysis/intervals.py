"""An estimate with its interval: what every statistic of a job gives."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its 95 % interval, or only a one-sided 95 % bound.

    ``None`` stands for "infinite" in ``high`` and for "no hit, so no estimate" in
    ``estimate``; with ``bound`` only ``low`` means anything.
    """

    estimate: float | None
    low: float | None
    high: float | None
    bound: bool = False

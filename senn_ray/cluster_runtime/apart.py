"""Units that failed are taken apart: one bad run must not take the others with it."""

import dataclasses

from senn_ray.core.records import RunRecord, RunSpec


class Apart:
    """Remember who was in a unit that failed, until each has been tried alone."""

    def __init__(self) -> None:
        self._lost: dict[str, tuple[float, str]] = {}

    def take(self, unit: tuple[RunSpec, ...], failure: RunRecord) -> None:
        """Note that a unit failed; its runs are about to be tried alone.

        Args:
            unit: Its runs.
            failure: The record of the failure.
        """
        lost_s = (failure.cost.device_s + failure.cost.wasted_device_s) / len(unit)
        note = f"trained alone, because with {len(unit) - 1} others: {failure.error}"
        for spec in unit:
            self._lost[spec.run_id] = (lost_s, note)

    def complete(self, record: RunRecord) -> RunRecord:
        """Add to a record what the run has lost in company, and why.

        Args:
            record: Of a run that ended; most have lost nothing.
        """
        lost_s, note = self._lost.pop(record.run_id, (0.0, ""))
        if not note:
            return record
        wasted_s = record.cost.wasted_device_s + lost_s
        return dataclasses.replace(
            record,
            cost=dataclasses.replace(record.cost, wasted_device_s=wasted_s),
            interruptions=(note, *record.interruptions),
        )

"""The fronts of runs in flight: sizes and losses, as the runs walk down."""

from dataclasses import dataclass, field

from rich.text import Text

from senn_ray.core.events import Event, JobStarted, RunFinished, RunProgressed
from senn_ray.core.records import Progress
from senn_ray.report.formatting import number, widths

MOST_SHOWN = 4
"""Runs in flight whose fronts are shown at once."""


@dataclass(slots=True)
class Fronts:
    """What is known of the fronts of runs in flight."""

    sizes: dict[str, list[str]] = field(default_factory=dict)
    """By run, the sizes that have ended, each with its loss."""
    in_lines: bool = False
    """Whether each size is worth a line; not among the many runs of other verbs."""

    def __call__(self, event: Event) -> str | None:
        """Follow an event; return the line of a size that has ended with it, if any."""
        match event:
            case JobStarted(verb=verb):
                self.in_lines = verb == "grow"
            case RunFinished(record=record):
                self.sizes.pop(record.run_id, None)
            case RunProgressed(progress=sign) if sign.phase == "descent":
                return self._ended(sign)
            case _:
                pass
        return None

    def shown(self) -> list[Text]:
        """Return a line for each of the first few runs on their way down."""
        # Runs of fixed size have one.
        fronts = [(name, sizes) for name, sizes in self.sizes.items() if sizes[1:]]
        return [
            Text(f"{name} front {' · '.join(sizes)} …")
            for name, sizes in fronts[:MOST_SHOWN]
        ]

    def _ended(self, sign: Progress) -> str | None:
        known = self.sizes.setdefault(sign.run_id, []) if sign.rungs else []
        loss = sign.val_loss if sign.least_loss is None else sign.least_loss
        if sign.rungs <= len(known):
            return None
        # A run that goes on from a checkpoint begins in mid-front.
        known += ["?"] * (sign.rungs - len(known) - 1)
        known.append(f"{widths(sign.hidden)}: {number(loss)}")
        if not self.in_lines:
            return None
        return (
            f"{sign.run_id} size {sign.rungs} hidden {widths(sign.hidden)} "
            f"val {number(loss)}"
        )

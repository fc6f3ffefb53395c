"""A job as its journal tells it: the one input of summaries and tables."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from senn_ray.config import Config
from senn_ray.core.errors import DataError
from senn_ray.core.events import Event, JobEnded, JobStarted, TargetLocked, end_of
from senn_ray.core.records import RunRecord, order_of
from senn_ray.search.arms import find
from senn_ray.search.attempts import Attempts, attempts
from senn_ray.search.changes import config_of
from senn_ray.search.plan import SENN
from senn_ray.search.targets import target_is_stale


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What is known of a job, whether or not it came to its end."""

    started: JobStarted
    config: Config
    records: tuple[RunRecord, ...]
    """The last attempts of all runs that ended, by arm, study and trial."""
    target: TargetLocked | None
    """The last one that was locked."""
    ended: JobEnded
    outgrown: bool = False
    """Whether there are other self-expanding runs now than when it was locked."""
    tried: Attempts = field(default_factory=Attempts, compare=False)
    """All attempts, with those that were repeated."""

    def of(self, arm: str) -> list[RunRecord]:
        """Return the runs of an arm, in order."""
        return [record for record in self.records if record.arm == arm]

    @property
    def senn(self) -> list[RunRecord]:
        """The self-expanding runs."""
        return self.of(SENN)

    @property
    def devices(self) -> dict[str, int]:
        """Number of runs by device; failed runs have none."""
        known = [record for record in self.records if record.state != "failed"]
        names = sorted(record.device_name for record in known)
        return dict(Counter(name for name in names if name))

    @property
    def arms(self) -> list[str]:
        """The opponents that have finished runs, in the order of the settings."""
        return [arm for arm in self._begun if find(arm).kind != "control"]

    @property
    def controls(self) -> list[str]:
        """The arms with finished runs that search for nothing."""
        return [arm for arm in self._begun if find(arm).kind == "control"]

    @property
    def _begun(self) -> list[str]:
        return [arm for arm in self.config.baseline.arms if self.of(arm)]


def gather(events: Sequence[Event], *, alive: bool = True) -> Job:
    """Put the events of a journal together.

    Args:
        events: What ``journal.read`` gave.
        alive: Whether a process works on the job, if its journal has no end.

    Raises:
        DataError: if the journal does not even tell how the job began.
    """
    started = [event for event in events if isinstance(event, JobStarted)]
    if not started:
        raise DataError("the journal is empty: the job ended before it began")
    tried = attempts(events)
    records = tried.finished.values()
    targets = [event for event in events if isinstance(event, TargetLocked)]
    return Job(
        started=started[0],
        config=config_of(events),
        records=tuple(sorted(records, key=order_of)),
        target=targets[-1] if targets else None,
        ended=end_of(events, alive=alive),
        outgrown=target_is_stale(events),
        tried=tried,
    )

"""Looking at jobs that other processes run, and asking them to stop."""

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from senn_ray.core.errors import SennRayError
from senn_ray.core.events import Event, outcomes
from senn_ray.store import journal, locations, lock
from senn_ray.store.locations import Location

if TYPE_CHECKING:
    from senn_ray.analysis.results import JobStatus


def watch(
    run: Location,
    *,
    every_s: float = 1.0,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[tuple["JobStatus", list[Event]]]:
    """Follow a job that another process runs, until no process works on it any more.

    Args:
        run: The run folder: a path or a URI.
        every_s: Seconds between two looks.
        pause: Waits so long.

    Yields:
        What ``status`` gives, and what has happened since the last look.
    """
    mark, timed = journal.Mark(), list[tuple[float, Event]]()
    with locations.following(run, lock.FILE_NAME) as up_to_date:
        while True:
            folder = up_to_date()
            news, mark = journal.read_on(folder, mark)
            timed += news
            # The journal may be there, but its first line not yet.
            if timed or not live_writer(folder, time.time()):
                found = _status(run, folder, timed)
                yield found, [event for _, event in news]
                if found.state != "running":
                    return
            pause(every_s)


def has_begun(run: Location) -> bool:
    """Tell whether there is a job in a run folder that ``resume`` could go on with."""
    found = locations.locate(run)
    if isinstance(found, Path):
        # The last file that is written before the first event.
        return (found / "manifest.json").is_file()
    from senn_ray.store.remote import connect

    try:
        return "manifest.json" in connect(found).names()
    except SennRayError:
        return True  # It cannot be reached now; then the advice does no harm.


def stop(run: Location, *, now: bool = False) -> "JobStatus":
    """Ask the process that works on a job to end it, on whatever host it is.

    Args:
        run: The run folder: a path or a URI.
        now: Whether runs in flight are given up; else they finish first.

    Returns:
        What ``status`` gives; and ``asked``, whether there was anybody to ask.
    """
    found = status(run)
    asked = found.writer is not None
    if asked:
        locations.request_stop(run, now=now)
    return dataclasses.replace(found, asked=asked)


def status(run: Location) -> "JobStatus":
    """Tell where a job stands, also while another process runs it.

    Args:
        run: A run folder: a path or a URI.

    Returns:
        What its journal tells, and the process that writes it.
    """
    with locations.opened(run, lock.FILE_NAME) as folder:
        return _status(run, folder, journal.read_timed(folder))


def _status(
    run: Location, folder: Path, timed: list[tuple[float, Event]]
) -> "JobStatus":
    from senn_ray.analysis.results import WriterStatus
    from senn_ray.analysis.status import status

    now = time.time()
    writer = live_writer(folder, now)
    found = status(timed, now=now if writer else None)
    heart = writer and WriterStatus(
        pid=writer.pid,
        host=writer.host,
        heartbeat_s=max(now - writer.beat_utc_s, 0.0),
    )
    ended = {record.run_id for record in outcomes(event for _, event in timed)}
    kept = Counter(p.parts[-3] for p in folder.glob("checkpoints/*/rungs/*.pt"))
    sizes = {name: kept[name] for name in sorted(kept) if name not in ended}
    return dataclasses.replace(
        found, run=str(locations.locate(run)), writer=heart, sizes=sizes
    )


def live_writer(folder: Path, now: float) -> lock.Writer | None:
    """Return the process that works on the job of a run folder at a time; or nothing."""
    writer = lock.writer(folder)
    return writer if writer is not None and writer.seems_alive(now) else None

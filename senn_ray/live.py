"""Looking at jobs that other processes run, and asking them to stop."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from senn_ray import lock, stopping
from senn_ray.events import Event
from senn_ray.search import journal


def watch(
    folder: Path,
    *,
    every_s: float = 1.0,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[dict[str, Any], list[Event]]]:
    """Follow a job that another process runs, until nobody works on it any more.

    Args:
        folder: The run folder.
        every_s: Seconds between two looks.
        pause: Waits so long.

    Yields:
        What ``status`` gives, and what has happened since the last look.
    """
    mark, timed = journal.Mark(), list[tuple[float, Event]]()
    while True:
        news, mark = journal.read_on(folder, mark)
        timed += news
        if not timed and _live_writer(folder, time.time()):
            pause(every_s)  # The journal is there, but its first line is not.
            continue
        found = _status(folder, timed)
        yield found, [event for _, event in news]
        if found["state"] != "running":
            return
        pause(every_s)


def stop(folder: Path, *, now: bool = False) -> dict[str, Any]:
    """Ask the process that works on a job to end it, on whatever host it is.

    Args:
        folder: The run folder.
        now: Whether runs in flight are given up; else they finish first.

    Returns:
        What ``status`` gives; and ``asked``, whether there was anybody to ask.
    """
    found = status(folder)
    asked = found["writer"] is not None
    if asked:
        stopping.request(folder, now=now)
    return {**found, "asked": asked}


def status(folder: Path) -> dict[str, Any]:
    """Tell where a job stands, also while another process runs it.

    Args:
        folder: A run folder.

    Returns:
        See ``senn_ray/search/status.py``; and ``run``, the folder.
    """
    return _status(folder, journal.read_timed(folder))


def _status(folder: Path, timed: list[tuple[float, Event]]) -> dict[str, Any]:
    from senn_ray.search.status import status

    folder, now = folder.expanduser().absolute(), time.time()
    writer = _live_writer(folder, now)
    found = status(timed, now=now if writer else None)
    heart = writer and {
        "pid": writer.pid,
        "host": writer.host,
        "heartbeat_s": max(now - writer.beat_utc_s, 0.0),
    }
    return {"run": str(folder), **found, "writer": heart}


def _live_writer(folder: Path, now: float) -> lock.Writer | None:
    writer = lock.writer(folder)
    return writer if writer is not None and writer.is_alive(now) else None

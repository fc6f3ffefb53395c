"""The screen of ``watch``: a live overview, or plain lines where there is no terminal."""

from collections.abc import Iterable

from rich.console import Console, Group
from rich.live import Live

from senn_ray.analysis.results import JobStatus
from senn_ray.cli.console import describe
from senn_ray.cli.overview import overview
from senn_ray.core.events import Event

Look = tuple[JobStatus, list[Event]]


def follow(looks: Iterable[Look], console: Console, *, quiet: bool) -> JobStatus:
    """Show a job until it ends.

    Args:
        looks: What ``verbs.watch`` gave.
        console: Where to show it.
        quiet: Whether to show nothing at all.

    Returns:
        The last status.
    """
    if quiet or not console.is_terminal:
        return _lines(looks, console, quiet=quiet)
    found: JobStatus | None = None
    with Live(console=console, auto_refresh=False) as live:
        for found, news in looks:
            for line in filter(None, map(describe, news)):
                console.print(line, markup=False, highlight=False)
            live.update(Group(*overview(found)), refresh=True)
    if found is None:
        raise ValueError("there is always a last look")
    return found


def _lines(looks: Iterable[Look], console: Console, *, quiet: bool) -> JobStatus:
    """Print one line per event worth one, and at the end how the job stands."""
    found: JobStatus | None = None
    for look in looks:
        found, news = look
        for line in [] if quiet else filter(None, map(describe, news)):
            print(line, file=console.file, flush=True)
    for part in [] if quiet or found is None else overview(found):
        console.print(part, soft_wrap=isinstance(part, str))
    if found is None:
        raise ValueError("there is always a last look")
    return found

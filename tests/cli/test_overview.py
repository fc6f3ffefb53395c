"""The live screen of ``watch``, on a terminal that a test reads."""

import dataclasses
import io
from collections.abc import Iterator

from rich.console import Console

from senn_ray.analysis.status import status
from senn_ray.cli.overview import Look, follow
from senn_ray.core.events import Event
from tests.analysis.test_scan import EVENTS


def looks() -> Iterator[Look]:
    """Look at a job at three moments."""
    seen = 0
    for end in (3, len(EVENTS) // 2, len(EVENTS)):
        timed = [(float(n), event) for n, event in enumerate(EVENTS[:end])]
        news: list[Event] = EVENTS[seen:end]
        seen = end
        yield dataclasses.replace(status(timed, now=1e3), run="/a"), news


def terminal() -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=100, height=40, highlight=False
    )


def test_the_screen_is_drawn_again_and_lines_stay_above_it() -> None:
    console = terminal()
    found = follow(looks(), console, quiet=False)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert found.state == "complete"
    assert "scan mnist seed 0: running" in text
    assert "scan mnist seed 0: complete" in text
    assert text.count("✓ senn-10-000") == 1
    assert "\x1b[" in text


def test_quiet_shows_nothing_and_knows_the_end() -> None:
    console = terminal()
    assert follow(looks(), console, quiet=True).state == "complete"
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""

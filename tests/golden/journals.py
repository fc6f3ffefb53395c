"""Journals of real jobs, and what the code that wrote them made of them.

Four jobs of the engine of 27 November 2026 (``compare`` has every arm, ``demo`` is the
comparison that the README shows). To keep the files small, all but the first and the
last evaluation of most runs were taken out of the journals; summaries and tables were
then made by the code of that day. What no longer answers anything (waiting curves,
beaten, other ranges, latency) is left out of them. ``wall_s`` of a run that shared its
worker with other seeds is its part of that
time, and ``study`` is one only where an arm searches several times.
"""

import gzip
import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from senn_ray.core.events import Event
from senn_ray.store import journal

HERE = Path(__file__).parent
NAMES = ("compare", "demo", "scan", "grow")


@cache
def events(name: str) -> tuple[Event, ...]:
    """Read a golden journal with today's code."""
    lines = gzip.decompress((HERE / f"{name}.journal.jsonl.gz").read_bytes())
    with TemporaryDirectory() as folder:
        path = Path(folder) / journal.FILE_NAME
        path.write_bytes(lines)
        return tuple(journal.read(path))


@cache
def expected(name: str) -> dict[str, Any]:
    """Return ``summary`` and ``tables`` as the code of that day had them."""
    text = gzip.decompress((HERE / f"{name}.expected.json.gz").read_bytes())
    return json.loads(text)

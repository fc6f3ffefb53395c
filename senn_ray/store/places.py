"""Where run folders are: a path here, or the URI of another file system.

Everything else works on a local folder. For a URI it is a copy that is read once, or a
working copy that is mirrored while a job holds the far folder.
"""

import contextlib
import hashlib
import os
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from senn_ray.core.errors import ConfigError, SennRayError
from senn_ray.store import lock, stopping

if TYPE_CHECKING:
    from senn_ray.store.remote import Far, Mirror

Place = str | Path
"""A path, or a URI."""
SYNC_S = 5.0
WORK_ENV = "SENN_RAY_WORK"
"""Names the parent of working copies (default: the user's cache)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A run folder that this process holds."""

    place: Place
    """What it is called."""
    folder: Path
    """Where to work."""
    check: Callable[[], None]
    """Raises if the folder was lost."""
    copy: Callable[[bytes], None] | None = None
    """Keeps a line of the journal in the far folder, if there is one."""


def locate(place: Place) -> Place:
    """Tell paths from URIs; paths become absolute, and ``file://`` is one of them.

    Args:
        place: What a user wrote.
    """
    text = str(place)
    if isinstance(place, Path) or "://" not in text:
        return Path(place).expanduser().absolute()
    if text.startswith("file://"):
        return Path(unquote(urlsplit(text).path)).absolute()
    return text.rstrip("/")


def below(place: Place, name: str) -> Place:
    """Return a place inside another one.

    Args:
        place: A path or a URI.
        name: What is in it.
    """
    return place / name if isinstance(place, Path) else f"{place}/{name}"


def work_folder(place: Place) -> Path:
    """Return where a job of a run folder works: there, or in a copy.

    Args:
        place: What ``locate`` gave.
    """
    if isinstance(place, Path):
        return place
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root = Path(os.environ.get(WORK_ENV) or Path(cache) / "senn-ray" / "work")
    name = hashlib.sha256(place.encode()).hexdigest()[:12]
    return root.absolute() / f"{place.rpartition('/')[2]}-{name}"


def require_empty(place: Place) -> None:
    """Refuse a run folder that is in use.

    Args:
        place: What ``locate`` gave.

    Raises:
        ConfigError: if it exists and is not an empty folder.
    """
    advice = "give a new or empty folder"
    if isinstance(place, Path):
        if place.exists() and not place.is_dir():
            raise ConfigError(f"--out {place} is a file; {advice}")
        taken = place.is_dir() and any(place.iterdir())
    else:
        from senn_ray.store.remote import connect

        taken = bool(connect(place).names())
    if taken:
        raise ConfigError(f"--out {place} is not empty; {advice}")


@contextlib.contextmanager
def opened(place: Place, *names: str, send: bool = False) -> Iterator[Path]:
    """Give a local folder in which a run folder can be read.

    Args:
        place: What a user wrote.
        names: What is needed beside the journal: names of files begin so.
        send: Whether files that are written into it count.

    Yields:
        The folder itself; or a copy, whose changes are sent back if they count.
    """
    found = locate(place)
    if isinstance(found, Path):
        yield found
        return
    from senn_ray.store.remote import Mirror, connect, fetch

    far = connect(found)
    with tempfile.TemporaryDirectory(prefix="senn-ray-") as folder:
        known = fetch(far, copy := Path(folder), names)
        yield copy
        if send:
            Mirror(far, copy, known).sync()


@contextlib.contextmanager
def following(place: Place, *names: str) -> Iterator[Callable[[], Path]]:
    """Give a function that makes the present state of a run folder readable here.

    Args:
        place: What a user wrote.
        names: Small files that are needed beside the journal.

    Yields:
        What returns the folder itself; or a copy, to which it adds only what is new.
    """
    found = locate(place)
    if isinstance(found, Path):
        yield lambda: found
        return
    from senn_ray.store.follow import Follower
    from senn_ray.store.remote import connect

    with tempfile.TemporaryDirectory(prefix="senn-ray-") as folder:
        yield Follower(connect(found), Path(folder), names).update


def check_far(uri: str) -> str:
    """Write and delete a small file in a far folder.

    Args:
        uri: What ``locate`` gave.

    Returns:
        What was found, for people.
    """
    from senn_ray.store.remote import connect

    far, name = connect(uri), f"check-{uuid.uuid4().hex}"
    far.write(name, b"")
    far.delete(name)
    return f"{uri} can be written"


def request_stop(place: Place, *, now: bool) -> None:
    """Ask the driver of a run folder to stop.

    Args:
        place: What a user wrote.
        now: Whether runs in flight are to be given up.
    """
    found = locate(place)
    if isinstance(found, Path):
        stopping.put(found, stopping.request(now=now))
        return
    from senn_ray.store.remote import connect

    connect(found).write(stopping.FILE_NAME, stopping.request(now=now))


@contextlib.contextmanager
def holding(place: Place) -> Iterator[Held]:
    """Hold a run folder for a job, as its only writer.

    Args:
        place: What a user wrote.

    Yields:
        Where to work, and what keeps the far folder up to date.
    """
    found = locate(place)
    if isinstance(found, Path):
        with lock.hold(found) as check:
            yield Held(place=found, folder=found, check=check)
        return
    from senn_ray.store import remote

    far, folder = remote.connect(found), work_folder(found)
    with lock.hold(_FarCell(far)) as check:
        remote.clear(folder)
        far.delete(stopping.FILE_NAME)  # an old request is not for this job
        known = remote.fetch(far, folder)
        mirror = remote.Mirror(far, folder, known)
        with _kept_up(far, folder, mirror):
            yield Held(place=found, folder=folder, check=check, copy=mirror.record)
        mirror.compact()


@contextlib.contextmanager
def _kept_up(far: "Far", folder: Path, mirror: "Mirror") -> Iterator[None]:
    """Send files there, and requests to stop here, until the end; then all files."""
    over = threading.Event()

    def keep_up() -> None:
        while not over.wait(SYNC_S):
            # A network that fails for a moment: the next round sends what is missing.
            with contextlib.suppress(OSError, SennRayError):
                if asked := far.read(stopping.FILE_NAME):
                    far.delete(stopping.FILE_NAME)
                    stopping.put(folder, asked)
                mirror.sync()

    thread = threading.Thread(target=keep_up, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        mirror.sync()


class _FarCell:
    """The lock in a far folder. No file system can guard it: see ``lock.Cell``."""

    def __init__(self, far: "Far") -> None:
        self.name = far.uri
        self._far = far

    def read(self) -> bytes | None:
        return self._far.read(lock.FILE_NAME)

    def write(self, contents: bytes) -> None:
        self._far.write(lock.FILE_NAME, contents)

    def clear(self) -> None:
        self._far.delete(lock.FILE_NAME)

    def guard(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

"""Where run folders are: a path here, or the URI of another file system.

Everything else works on a local folder. For a URI it is a copy that is read once, or a
working copy that is mirrored while a job holds the far folder.
"""

import contextlib
import functools
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from senn_ray.config import Config
from senn_ray.core.errors import ConfigError, from_os
from senn_ray.store import journal, lock, stopping

Location = str | Path
"""A path, or a URI."""
WORK_ENV = "SENN_RAY_WORK"
"""Names the parent of working copies (default: the user's cache)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A run folder that this process holds."""

    location: Location
    """What it is called."""
    folder: Path
    """Where to work."""
    check: Callable[[], None]
    """Raises if the folder was lost."""
    epoch: int = 0
    """Counted up from writer to writer."""
    copy: Callable[[bytes], None] | None = None
    """Keeps a line of the journal in the far folder, if there is one."""


def locate(location: Location) -> Location:
    """Tell paths from URIs; paths become absolute, and ``file://`` is one of them."""
    text = str(location)
    if isinstance(location, Path) or "://" not in text:
        return Path(location).expanduser().absolute()
    if text.startswith("file://"):
        return Path(unquote(urlsplit(text).path)).absolute()
    return text.rstrip("/")


def below(location: Location, name: str) -> Location:
    """Return a location inside another one."""
    return location / name if isinstance(location, Path) else f"{location}/{name}"


def work_folder(location: Location) -> Path:
    """Return where a job of a run folder works: there, or in a copy."""
    if isinstance(location, Path):
        return location
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root = Path(os.environ.get(WORK_ENV) or Path(cache) / "senn-ray" / "work")
    name = hashlib.sha256(location.encode()).hexdigest()[:12]
    return root.absolute() / f"{location.rpartition('/')[2]}-{name}"


def choose(out: Location | None, config: Config, verb: str) -> Location:
    """Return the location of a new run folder: the one asked for, or one by its date.

    Raises:
        ConfigError: if it exists and is not an empty folder.
    """
    if out is None:
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        source = config.data.dataset.partition(":")[0]
        out = below(locate(config.output.root), f"{verb}-{source}-{moment}")
    location, advice = locate(out), "give a new or empty folder"
    if isinstance(location, Path):
        if location.exists() and not location.is_dir():
            raise ConfigError(f"--out {location} is a file; {advice}")
        taken = location.is_dir() and any(location.iterdir())
    else:
        from senn_ray.store.remote import connect

        taken = bool(connect(location).names())
    if taken:
        raise ConfigError(f"--out {location} is not empty; {advice}")
    return location


def check_writable(root: Location) -> str:
    """Write and delete a small file below a folder, making the folder if need be.

    Returns:
        What was found, for people. Errors of the system are told by their cause.
    """
    root = locate(root)
    if not isinstance(root, Path):
        from senn_ray.store.remote import connect

        far, name = connect(root), f"check-{uuid.uuid4().hex}"
        far.write(name, b"")
        far.delete(name)
        return f"{root} can be written"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=root):
            return f"{root.absolute()} can be written"
    except OSError as error:
        raise from_os(error, f"cannot write {root}", "set output.root") from error


def require_writable(location: Location) -> None:
    """Refuse a run folder that cannot be made, before anything expensive starts.

    Nothing is left behind; errors of the system are told by their cause.
    """
    if not isinstance(location, Path):
        check_writable(location)
        return
    there = next(path for path in (location, *location.parents) if path.exists())
    try:
        with tempfile.TemporaryDirectory(dir=there, prefix=".senn-ray-"):
            return
    except OSError as error:
        raise from_os(
            error, f"cannot write {location}", "give another --out"
        ) from error


@contextlib.contextmanager
def opened(location: Location, *names: str, send: bool = False) -> Iterator[Path]:
    """Give a local folder in which a run folder can be read.

    Args:
        location: What a user wrote.
        names: What is needed beside the journal: names of files begin so.
        send: Whether files that are written into it count.

    Yields:
        The folder itself; or a copy, whose changes are sent back if they count.
    """
    found = locate(location)
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
def following(location: Location, *names: str) -> Iterator[Callable[[], Path]]:
    """Give a function that makes the present state of a run folder readable here.

    Yields:
        What returns the folder itself; or a copy, to which it adds only what is new.
    """
    found = locate(location)
    if isinstance(found, Path):
        yield lambda: found
        return
    from senn_ray.store.remote import Follower, connect

    with tempfile.TemporaryDirectory(prefix="senn-ray-") as folder:
        yield Follower(connect(found), Path(folder), names).update


def request_stop(location: Location, *, now: bool) -> None:
    """Ask the driver of a run folder to stop; ``now`` gives up the runs in flight."""
    found = locate(location)
    if isinstance(found, Path):
        stopping.put(found, stopping.request(now=now))
        return
    from senn_ray.store.remote import connect

    connect(found).write(stopping.FILE_NAME, stopping.request(now=now))


@contextlib.contextmanager
def holding(location: Location, *, force: bool = False) -> Iterator[Held]:
    """Hold a run folder for a job, as its only writer, until the block ends.

    Args:
        location: What a user wrote.
        force: Whether to take it from a writer that may be alive (``lock.hold``).
    """
    found = locate(location)
    if isinstance(found, Path):
        known_writer = functools.partial(journal.last_writer, found)
        with lock.hold(found, after=known_writer, force=force) as hold:
            yield Held(location=found, folder=found, check=hold.check, epoch=hold.epoch)
        return
    from senn_ray.store import remote

    far, folder = remote.connect(found), work_folder(found)
    known_writer = functools.partial(remote.last_writer, far)
    with lock.hold(remote.LockCell(far), after=known_writer, force=force) as hold:
        if folder.exists():  # what an earlier job left: the far folder is the truth
            shutil.rmtree(folder)
        far.delete(stopping.FILE_NAME)  # an old request is not for this job
        known = remote.fetch(far, folder)
        mirror = remote.Mirror(far, folder, known, epoch=hold.epoch, check=hold.check)
        with mirror.kept_up():
            yield Held(
                location=found,
                folder=folder,
                check=hold.check,
                epoch=hold.epoch,
                copy=mirror.record,
            )
        mirror.compact()

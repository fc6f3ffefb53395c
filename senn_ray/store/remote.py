"""Run folders on other file systems, by URI: whatever ``pyarrow.fs`` can reach.

Few of these can append to a file or lock one. So a job works in a local copy, and this
module keeps the far folder up to date:

- ``journal/NNNNNNNNN.EPOCH.jsonl``: closed segments of the journal, named by the number
  of their first line and the epoch of their writer. An event is in one before anything
  acts on it. From time to time, and at the end, they become ``journal.jsonl``.
- all other files, whole, whenever they have changed.

The far folder is the truth: a job that is resumed begins with a fresh copy of it.
"""

import contextlib
import errno
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyarrow import fs

from senn_ray.core.errors import ConfigError, ResourceError, SennRayError
from senn_ray.core.names import inside
from senn_ray.store import lock, stopping
from senn_ray.store.journal import FILE_NAME as JOURNAL
from senn_ray.store.journal import newest_epoch

SEGMENTS = "journal"
_SEGMENT = re.compile(r"journal/(\d{9})(?:\.(\d{1,9}))?\.jsonl")
COMPACT_AT = 200
"""Number of segments that become one file: readers need not open thousands."""
SYNC_S = 5.0
"""Seconds between two rounds of sending what has changed."""
ATOMIC = {"s3", "gcs", "abfs"}
"""File systems where a file that is being written cannot be seen."""
STATES, NETWORK = "checkpoints/*/state-*.pt", "final.pt"
"""What runs keep while they are under way, and what takes its place in the end."""
# Files with a life of their own: no copy of them is sent.
PRIVATE = {JOURNAL, lock.FILE_NAME, stopping.FILE_NAME}
_State = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Far:
    """A folder on another file system; names are relative to it."""

    uri: str
    files: fs.FileSystem
    root: str

    def read(self, name: str) -> bytes | None:
        """Return the contents of a file; or nothing, if it is not there."""
        with (
            _reaching(self.uri),
            contextlib.suppress(FileNotFoundError),
            self.files.open_input_stream(self._path(name)) as file,
        ):
            return file.read()
        return None

    def write(self, name: str, contents: bytes) -> None:
        """Write a file; readers see the old one or the new one."""
        with (
            self._replacing(name) as fresh,
            self.files.open_output_stream(fresh) as file,
        ):
            file.write(contents)

    def send(self, path: Path, name: str) -> None:
        """Copy a file from here; readers see the old one or the new one."""
        with self._replacing(name) as fresh:
            fs.copy_files(str(path), fresh, fs.LocalFileSystem(), self.files)

    def fetch(self, name: str, path: Path) -> bool:
        """Copy a file to a path here, making its folder; tell whether it was there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with _reaching(self.uri), contextlib.suppress(FileNotFoundError):
            fs.copy_files(self._path(name), str(path), self.files, fs.LocalFileSystem())
            return True
        return False

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        with _reaching(self.uri), contextlib.suppress(FileNotFoundError):
            self.files.delete_file(self._path(name))

    def size(self, name: str) -> int:
        """Return the bytes of a file; 0, if it is not there."""
        with _reaching(self.uri):
            found = self.files.get_file_info(self._path(name))
        return found.size or 0

    def names(self, below: str = "") -> dict[str, int]:
        """List all files below a folder, each with its size in bytes."""
        top = fs.FileSelector(self._path(below), allow_not_found=True, recursive=True)
        start = len(self.root.strip("/")) + 1
        with _reaching(self.uri):
            found = self.files.get_file_info(top)
        return {
            info.path.strip("/")[start:]: info.size
            for info in found
            if info.type == fs.FileType.File
        }

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}".rstrip("/")

    @contextlib.contextmanager
    def _replacing(self, name: str) -> Iterator[str]:
        """Give the path to write a file to, and move it where that is not atomic."""
        path = self._path(name)
        fresh = path if self.files.type_name in ATOMIC else f"{path}.new"
        with _reaching(self.uri):
            self.files.create_dir(str(PurePosixPath(path).parent), recursive=True)
            yield fresh
            if fresh != path:
                self.files.move(fresh, path)


def connect(uri: str) -> Far:
    """Reach a folder on another file system; it need not exist.

    Raises:
        ConfigError: if no file system is known for the URI.
    """
    try:
        with _reaching(uri):
            files, root = fs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ConfigError(
            f"{uri}: {' '.join(str(error).split())}; give a folder, or a URI such as "
            "s3://BUCKET/PATH, gs://BUCKET/PATH or hdfs://HOST/PATH"
        ) from error
    return Far(uri=uri.rstrip("/"), files=files, root=root.rstrip("/"))


@contextlib.contextmanager
def _reaching(uri: str) -> Iterator[None]:
    """Turn what file systems raise into one line; a missing file stays what it is."""
    try:
        yield
    except (FileNotFoundError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise
    except (OSError, pa.ArrowException) as error:
        if getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}:
            raise  # A disk is full: no address or credentials would help.
        raise ResourceError(
            f"cannot reach {uri}: {' '.join(str(error).split())}; check the address and "
            "the credentials of its file system, then resume"
        ) from error


class LockCell:
    """The lock in a far folder. No file system can guard it: see ``lock.Cell``."""

    def __init__(self, far: Far) -> None:
        self.name = far.uri
        self._far = far

    def read(self) -> bytes | None:
        """Return the lock; or nothing."""
        return self._far.read(lock.FILE_NAME)

    def write(self, contents: bytes) -> None:
        """Replace the lock in one step."""
        self._far.write(lock.FILE_NAME, contents)

    def clear(self) -> None:
        """Remove the lock."""
        self._far.delete(lock.FILE_NAME)

    def guard(self) -> contextlib.AbstractContextManager[None]:
        """Do nothing: there is nothing to guard it with."""
        return contextlib.nullcontext()


def segments(far: Far) -> dict[int, str]:
    """List the closed segments of a journal by the number of their first line, ascending.

    Of two of one number the one of the newer writer counts: the other was written by
    a process that did not know yet that it had been replaced.
    """
    found = dict[int, tuple[int, str]]()
    for name in far.names(SEGMENTS):
        if match := _SEGMENT.fullmatch(name):
            number, epoch = int(match[1]), int(match[2] or 0)
            found[number] = max(found.get(number, (-1, "")), (epoch, name))
    return {number: found[number][1] for number in sorted(found)}


def read_journal(far: Far) -> bytes:
    """Put the journal of a far folder together; empty, if there is none."""
    closed = segments(far)
    # The whole file is read after the list: segments in between may have moved there.
    text = far.read(JOURNAL) or b""
    for number, name in closed.items():
        if number >= text.count(b"\n"):
            text += far.read(name) or b""
    return text


def last_writer(far: Far) -> int:
    """Return the epoch of the newest writer of a far folder; 0, if there was none."""
    return newest_epoch(read_journal(far))


def fetch(far: Far, folder: Path, only: tuple[str, ...] = ("",)) -> dict[str, _State]:
    """Copy a far folder to an empty one here, its journal as one file.

    Args:
        far: The far folder.
        folder: Where to; it is made if need be.
        only: What is needed beside the journal: names begin so.

    Returns:
        The files that were copied, and their states here. A name that would lead out of
        the folder is refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if text := read_journal(far):
        (folder / JOURNAL).write_bytes(text)
    copied = {}
    for name in far.names():
        is_journal = name.startswith(f"{SEGMENTS}/") or name == JOURNAL
        if not is_journal and name.startswith(only):
            there = far.fetch(name, inside(folder, name))
            if there and name not in PRIVATE:
                copied[name] = _state(folder / name)
    return copied


class Follower:
    """A copy of a far run folder that is brought up to date again and again.

    Journals only grow. Closed segments are named by the number of their first line, so
    those that are missing here can be told by their names; the journal is read as a
    whole only where segments have been joined before they were seen.
    """

    def __init__(self, far: Far, folder: Path, names: tuple[str, ...]) -> None:
        """Begin with nothing."""
        self._far, self._folder, self._names = far, folder, names
        self._lines = self._bytes = 0

    def update(self) -> Path:
        """Fetch what is new, and return the folder of the copy."""
        for name in self._names:
            contents = self._far.read(name)
            if contents is None:
                (self._folder / name).unlink(missing_ok=True)
            else:
                (self._folder / name).write_bytes(contents)
        closed = segments(self._far)
        if not self._follow(closed) or self._far.size(JOURNAL) > self._bytes:
            self._add(read_journal(self._far)[self._bytes :])
        return self._folder

    def _follow(self, closed: dict[int, str]) -> bool:
        """Add the segments that are new; tell whether none is missing in between."""
        for number, name in closed.items():
            if number < self._lines:
                continue
            text = self._far.read(name) if number == self._lines else None
            if text is None:  # It became part of the whole journal.
                return False
            self._add(text)
        return True

    def _add(self, text: bytes) -> None:
        if text:
            with (self._folder / JOURNAL).open("ab") as file:
                file.write(text)
        self._lines += text.count(b"\n")
        self._bytes += len(text)


class Mirror:
    """Keep a far folder like the local one that a job works in."""

    def __init__(
        self,
        far: Far,
        folder: Path,
        known: dict[str, _State],
        *,
        epoch: int = 0,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin with what is equal already.

        Args:
            far: The far folder.
            folder: The local one.
            known: The files that are equal, and their states here.
            epoch: That of this writer.
            check: Raises if the far folder was lost to another writer.
        """
        self._far, self._epoch, self._check = far, epoch, check
        self._folder = folder
        self._known = dict(known)
        self._busy = threading.Lock()
        self._lines = read_journal(far).count(b"\n")
        self._segments = len(far.names(SEGMENTS))

    def record(self, line: bytes) -> None:
        """Keep one line of the journal, with its end; it is safe when this returns."""
        self._far.write(f"{SEGMENTS}/{self._lines:09d}.{self._epoch}.jsonl", line)
        self._lines += 1
        self._segments += 1
        if self._segments >= COMPACT_AT:
            self.compact()

    def compact(self) -> None:
        """Make one file of all segments."""
        text = read_journal(self._far)
        merged = self._far.names(SEGMENTS)
        # Reading takes its time: what another one wrote meanwhile must not be replaced.
        self._check()
        if text:
            self._far.write(JOURNAL, text)
        self._check()
        for name in merged:
            self._far.delete(name)
        self._segments = 0

    def sync(self) -> None:
        """Send all files that have changed; then delete checkpoints that are outdated.

        A file that is gone here was not necessarily removed by the job: caches are
        cleaned. So the far one goes only if what took its place has been sent.
        """
        with self._busy:
            found = {
                str(path.relative_to(self._folder).as_posix()): path
                for path in sorted(self._folder.rglob("*"))
                if path.is_file() and _is_shared(path.relative_to(self._folder))
            }
            for name, path in found.items():
                with contextlib.suppress(FileNotFoundError):  # gone in the meantime
                    state = _state(path)
                    if self._known.get(name) != state:
                        self._far.send(path, name)
                        self._known[name] = state
            gone = [name for name in self._known if name not in found]
            for name in gone:
                if any(_outdates(other, name) for other in found):
                    self._far.delete(name)
                    del self._known[name]

    @contextlib.contextmanager
    def kept_up(self) -> Iterator[None]:
        """Send files there, and requests to stop here, during the block; then all."""
        over = threading.Event()

        def keep_up() -> None:
            while not over.wait(SYNC_S):
                # If the network fails for a moment, the next round sends what is missing.
                with contextlib.suppress(OSError, SennRayError):
                    if asked := self._far.read(stopping.FILE_NAME):
                        self._far.delete(stopping.FILE_NAME)
                        stopping.put(self._folder, asked)
                    self.sync()

        thread = threading.Thread(target=keep_up, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.sync()


def _outdates(other: str, name: str) -> bool:
    """Tell whether a file is kept in place of the state of a run under way."""
    new, old = PurePosixPath(other), PurePosixPath(name)
    if new.parent != old.parent or not old.match(STATES):
        return False
    return new.name == NETWORK or (new.match(STATES) and new.name > old.name)


def _is_shared(name: Path) -> bool:
    hidden = any(part.startswith(".") for part in name.parts)
    return not hidden and name.suffix != ".lock" and str(name) not in PRIVATE


def _state(path: Path) -> _State:
    found = path.stat()
    return found.st_size, found.st_mtime_ns

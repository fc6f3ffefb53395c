"""Run folders on other file systems, by URI: whatever ``pyarrow.fs`` can reach.

Few of these can append to a file or lock one. So a job works in a local copy, and this
module keeps the far folder up to date:

- ``journal/NNNNNNNNN.jsonl``: closed segments of the journal, named by the number of
  their first line. An event is in one before anything acts on it. From time to time,
  and at the end, they become ``journal.jsonl``.
- all other files, whole, whenever they have changed.

The far folder is the truth: who resumes a job begins with a fresh copy of it.
"""

import contextlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyarrow import fs

from senn_ray.core import files
from senn_ray.core.errors import ConfigError, ResourceError

JOURNAL, SEGMENTS = "journal.jsonl", "journal"
COMPACT_AT = 200
"""Segments that become one file: readers need not open thousands."""
ATOMIC = {"s3", "gcs", "abfs"}
"""File systems where a file that is being written cannot be seen."""
# Files with a life of their own: no copy of them is sent.
PRIVATE = {JOURNAL, "writer.lock", "stop.json"}
_FAILED = (OSError, pa.ArrowException)
_State = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Far:
    """A folder on another file system; names are relative to it."""

    uri: str
    files: fs.FileSystem
    root: str

    def read(self, name: str) -> bytes | None:
        """Return the contents of a file; or nothing, if it is not there.

        Args:
            name: The file.
        """
        with (
            _reaching(self.uri),
            contextlib.suppress(FileNotFoundError),
            self.files.open_input_stream(self._path(name)) as file,
        ):
            return file.read()
        return None

    def write(self, name: str, contents: bytes) -> None:
        """Write a file; readers see the old one or the new one.

        Args:
            name: The file.
            contents: Its bytes.
        """
        path = self._path(name)
        fresh = path if self.files.type_name in ATOMIC else f"{path}.new"
        with _reaching(self.uri):
            self.files.create_dir(str(PurePosixPath(path).parent), recursive=True)
            with self.files.open_output_stream(fresh) as file:
                file.write(contents)
            if fresh != path:
                self.files.move(fresh, path)

    def delete(self, name: str) -> None:
        """Delete a file, if it is there.

        Args:
            name: The file.
        """
        with _reaching(self.uri), contextlib.suppress(FileNotFoundError):
            self.files.delete_file(self._path(name))

    def size(self, name: str) -> int:
        """Return the bytes of a file; 0, if it is not there.

        Args:
            name: The file.
        """
        with _reaching(self.uri):
            found = self.files.get_file_info(self._path(name))
        return found.size or 0

    def names(self, below: str = "") -> dict[str, int]:
        """List all files, each with its size in bytes.

        Args:
            below: A folder.
        """
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


def connect(uri: str) -> Far:
    """Reach a folder on another file system; it need not exist.

    Args:
        uri: Such as ``s3://bucket/runs/first``.

    Raises:
        ConfigError: if no file system is known for it.
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
    except FileNotFoundError:
        raise
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise
    except _FAILED as error:
        raise ResourceError(
            f"cannot reach {uri}: {' '.join(str(error).split())}; check the address and "
            "the credentials of its file system, then resume"
        ) from error


def read_journal(far: Far) -> bytes:
    """Put the journal of a far folder together; empty, if there is none.

    Args:
        far: The far folder.
    """
    segments = sorted(far.names(SEGMENTS))
    # The whole file is read after the list: segments in between may have moved there.
    text = far.read(JOURNAL) or b""
    for name in segments:
        if int(PurePosixPath(name).stem) >= text.count(b"\n"):
            text += far.read(name) or b""
    return text


def fetch(far: Far, folder: Path, only: tuple[str, ...] = ("",)) -> dict[str, _State]:
    """Copy a far folder here, its journal as one file.

    Args:
        far: The far folder.
        folder: Where to; it is made if need be.
        only: What is needed beside the journal: names begin so.

    Returns:
        The files that were copied, and their states here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if text := read_journal(far):
        put(folder / JOURNAL, text)
    copied = {}
    for name in far.names():
        is_journal = name.startswith(f"{SEGMENTS}/") or name == JOURNAL
        wanted = name.startswith(only) and not is_journal
        contents = far.read(name) if wanted else None
        if contents is not None:
            put(folder / name, contents)
            if name not in PRIVATE:
                copied[name] = _state(folder / name)
    return copied


class Mirror:
    """Keep a far folder like a local one."""

    def __init__(self, far: Far, folder: Path, known: dict[str, _State]) -> None:
        """Begin with what is equal already.

        Args:
            far: The far folder.
            folder: The local one.
            known: The files that are equal, and their states here.
        """
        self._far = far
        self._folder = folder
        self._known = dict(known)
        self._busy = threading.Lock()
        self._lines = read_journal(far).count(b"\n")
        self._segments = len(far.names(SEGMENTS))

    def record(self, line: bytes) -> None:
        """Keep one line of the journal; it is safe when this returns.

        Args:
            line: The line, with its end.
        """
        self._far.write(f"{SEGMENTS}/{self._lines:09d}.jsonl", line)
        self._lines += 1
        self._segments += 1
        if self._segments >= COMPACT_AT:
            self.compact()

    def compact(self) -> None:
        """Make one file of all segments."""
        text = read_journal(self._far)
        segments = self._far.names(SEGMENTS)
        if text:
            self._far.write(JOURNAL, text)
        for name in segments:
            self._far.delete(name)
        self._segments = 0

    def sync(self) -> None:
        """Send all files that have changed, and delete those that are gone here."""
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
                        self._far.write(name, path.read_bytes())
                        self._known[name] = state
            for name in [name for name in self._known if name not in found]:
                self._far.delete(name)
                del self._known[name]


def clear(folder: Path) -> None:
    """Remove an old local copy.

    Args:
        folder: The copy.
    """
    shutil.rmtree(folder, ignore_errors=True)


def _is_shared(name: Path) -> bool:
    hidden = any(part.startswith(".") for part in name.parts)
    return not hidden and name.suffix != ".lock" and str(name) not in PRIVATE


def _state(path: Path) -> _State:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def put(path: Path, contents: bytes) -> None:
    """Write a file here in one step, with its folders.

    Args:
        path: The file.
        contents: Its bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, contents)

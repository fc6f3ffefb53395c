"""Stopping a job from another shell or host, by a file in its run folder.

The driver looks at the file once a second. It answers a plain request by letting the
runs in flight finish, and ``now`` like Ctrl-C; both leave a folder that can be resumed.
"""

import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from senn_ray.core import files
from senn_ray.core.errors import ConfigError
from senn_ray.core.events import StopRequested

FILE_NAME = "stop.json"
POLL_S = 1.0
Stop = Callable[[], StopRequested | None]


def request(*, now: bool) -> bytes:
    """Write a request to stop.

    Args:
        now: Whether runs in flight are to be given up.
    """
    return json.dumps({"now": now, "asked_utc_s": time.time()}).encode()


def put(folder: Path, asked: bytes) -> None:
    """Hand a request to the driver of a run folder.

    Args:
        folder: The run folder.
        asked: The request.

    Raises:
        ConfigError: if the folder cannot be written.
    """
    try:
        files.write_bytes(folder / FILE_NAME, asked)
    except OSError as error:
        raise ConfigError(
            f"cannot write {folder} ({error.strerror}), so its job cannot be told to "
            "stop from here; type Ctrl-C where it runs"
        ) from error


@contextlib.contextmanager
def obeyed(
    folder: Path,
    *,
    poll_s: float = POLL_S,
    interrupt: Callable[[], None] | None = None,
) -> Iterator[Stop]:
    """Look out for requests, but for those that were made earlier.

    Args:
        folder: The run folder.
        poll_s: Seconds between two looks.
        interrupt: Is called once, from another thread, when the job must end now
            (default: Ctrl-C, if this is the main thread).

    Yields:
        What tells whether a stop was asked for. It raises KeyboardInterrupt when the
        job must end now, unless that was called for already.
    """
    _clear(folder)
    if interrupt is None and threading.current_thread() is threading.main_thread():
        interrupt = _interrupt_main
    over, once = threading.Event(), _Once()
    looks = threading.Thread(
        target=_look_out, args=(folder, over, poll_s, once, interrupt), daemon=True
    )

    def stop() -> StopRequested | None:
        now = _asked(folder)
        if now and once.claim():
            raise KeyboardInterrupt
        return None if now is None else StopRequested(why="asked")

    looks.start()
    try:
        yield stop
    finally:
        over.set()
        looks.join()
        _clear(folder)


def _look_out(
    folder: Path,
    over: threading.Event,
    poll_s: float,
    once: "_Once",
    interrupt: Callable[[], None] | None,
) -> None:
    while interrupt and not over.wait(poll_s):
        if _asked(folder):
            if once.claim():
                interrupt()
            return


class _Once:
    """Let the first of two threads interrupt: a second Ctrl-C would break the end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def claim(self) -> bool:
        """Tell whether this is the first call."""
        return self._lock.acquire(blocking=False)


def _asked(folder: Path) -> bool | None:
    """Tell whether a stop was asked for: nothing, with patience, or now."""
    try:
        return bool(json.loads((folder / FILE_NAME).read_bytes())["now"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _clear(folder: Path) -> None:
    (folder / FILE_NAME).unlink(missing_ok=True)


def _interrupt_main() -> None:
    # A signal wakes the main thread from whatever it waits for, as Ctrl-C does.
    main = threading.main_thread().ident
    if main is not None:
        signal.pthread_kill(main, signal.SIGINT)

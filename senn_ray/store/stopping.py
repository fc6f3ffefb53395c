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
from senn_ray.core.errors import from_os
from senn_ray.core.events import StopRequested

FILE_NAME = "stop.json"
POLL_S = 1.0
Stop = Callable[[], StopRequested | None]


def request(*, now: bool) -> bytes:
    """Write a request to stop; ``now`` gives up the runs in flight."""
    return json.dumps({"now": now, "asked_utc_s": time.time()}).encode()


def put(folder: Path, asked: bytes) -> None:
    """Hand a request to the driver of a run folder."""
    try:
        files.write_bytes(folder / FILE_NAME, asked)
    except OSError as error:
        raise from_os(
            error,
            f"cannot write {folder}, so its job cannot be told to stop from here",
            "type Ctrl-C where it runs",
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
    file = folder / FILE_NAME
    file.unlink(missing_ok=True)
    if interrupt is None and threading.current_thread() is threading.main_thread():
        interrupt = _interrupt_main
    over = threading.Event()
    # Taken by the first of two threads that interrupts, and never released: a second
    # Ctrl-C would break the orderly end that the first one has begun.
    interrupting = threading.Lock()

    def look_out() -> None:
        while interrupt and not over.wait(poll_s):
            if _asked(file):
                if interrupting.acquire(blocking=False):
                    interrupt()
                return

    def stop() -> StopRequested | None:
        now = _asked(file)
        if now and interrupting.acquire(blocking=False):
            raise KeyboardInterrupt
        return None if now is None else StopRequested(why="asked")

    looks = threading.Thread(target=look_out, daemon=True)
    looks.start()
    try:
        yield stop
    finally:
        over.set()
        looks.join()
        file.unlink(missing_ok=True)


def _asked(file: Path) -> bool | None:
    """Tell whether the job must end now; nothing, if no stop was asked for."""
    try:
        return bool(json.loads(file.read_bytes())["now"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _interrupt_main() -> None:
    # A signal wakes the main thread from whatever it waits for, as Ctrl-C does.
    main = threading.main_thread().ident
    if main is not None:
        signal.pthread_kill(main, signal.SIGINT)

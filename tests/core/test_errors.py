"""Errors of the system are told by their cause, each with its exit code."""

import errno
import socket
import ssl
import urllib.error

import pytest

from senn_ray.core.errors import from_os


class ConnectionError(OSError):  # noqa: A001 - as the client of a web service has it
    """No number, and no built-in class."""


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 3, "free space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 3, "free space"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), 2, "permission"),
        (OSError(errno.EROFS, "Read-only file system", "a"), 2, "permission"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a"), 4, "restore it"),
        (ConnectionResetError(errno.ECONNRESET, "reset by peer"), 3, "connection"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), 3, "connection"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 3, "connection"),
        (TimeoutError("timed out"), 3, "connection"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), 3, "connection"),
        (socket.gaierror(socket.EAI_NONAME, "Name not known"), 3, "connection"),
        (urllib.error.URLError("no answer"), 3, "connection"),
        (ConnectionError("pool is closed"), 3, "connection"),
        (OSError(errno.EMFILE, "Too many open files"), 3, "ulimit"),
        (OSError(errno.EINVAL, "Invalid argument"), 1, "Invalid argument"),
        (ssl.SSLError(1, "odd"), 3, "connection"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, OSError) else None,
)
def test_the_cause_decides_the_advice_and_the_code(
    error: OSError, code: int, says: str
) -> None:
    found = from_os(error)
    assert found.exit_code == code
    assert says in str(found)
    assert ("free space" in str(found)) == (says == "free space")


def test_a_path_to_be_written_is_the_users_choice_and_a_full_disk_is_not() -> None:
    missing = from_os(NotADirectoryError(errno.ENOTDIR, "x"), "cannot write a", "do b")
    assert (missing.exit_code, str(missing)) == (2, "cannot write a (x); do b")
    full = from_os(OSError(errno.ENOSPC, "full"), "cannot write a", "do b")
    assert full.exit_code == 3
    assert "free space, or do b" in str(full)

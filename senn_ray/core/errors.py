"""Errors that users see: what is wrong, where, and what to type.

Every error carries the exit code of the command line (docs/design: contract 4):
1 internal, 2 usage or configuration, 3 resources or cluster, 4 data,
5 budget exhausted, 6 some runs failed, 130 interrupted.
"""

import errno


class SennRayError(Exception):
    """Base of all errors that become one line on the console and an exit code."""

    exit_code: int = 1


class ConfigError(SennRayError):
    """Report a wrong setting, flag or file of settings."""

    exit_code = 2


class UntrustedCodeError(ConfigError):
    """Report code that a run folder would run here, and that nobody has allowed."""


class ResourceError(SennRayError):
    """Report a cluster that is unreachable or too small."""

    exit_code = 3


class ClusterLostError(ResourceError):
    """Report a cluster that went away while a job was using it."""


class DataError(SennRayError):
    """Report data that is missing, damaged or unfit for the task."""

    exit_code = 4


class BudgetError(SennRayError):
    """Report a budget that is used up; what is finished is valid."""

    exit_code = 5


class DivergedError(SennRayError):
    """Report a training run whose loss is no longer finite."""

    exit_code = 6


class DisagreementError(SennRayError):
    """Report replicas of one run that hold different networks."""


class Notice(UserWarning):
    """Say in one line what is no error, but should be known."""


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST})
_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
_NETWORK = frozenset({
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENOTCONN,
    errno.EADDRNOTAVAIL,
    errno.EADDRINUSE,
})

_FAR = frozenset({
    "ConnectionError",
    "TimeoutError",
    "Timeout",
    "gaierror",
    "URLError",
    "SSLError",
})


def from_os(error: OSError, doing: str = "", advice: str = "") -> SennRayError:
    """Turn an error of the system into one line by its cause, with its exit code.

    Args:
        error: What the system said.
        doing: What failed, such as ``cannot write FOLDER`` (default: what the system
            names).
        advice: What to type if the path is to blame.

    Returns:
        A ResourceError for a full disk, the network, or a limit of the system; a
        ConfigError for a path that may not be used; a DataError for one that is not
        there, if nothing was to be written; else an error of exit code 1.
    """
    reason = " ".join(str(error.strerror or error).split()) or type(error).__name__
    what = f"{doing or error.filename or type(error).__name__} ({reason})"
    number, found = error.errno, SennRayError(what)
    # Clients of web services have classes of their own, without a number.
    names = {kind.__name__ for kind in type(error).__mro__}
    far = not names.isdisjoint(_FAR)
    if far:
        number = None  # Some have one that means something else there.
    if number in _FULL:
        found = ResourceError(
            f"{what}; free space, or {advice or 'give another --out'}; what is in the "
            "journal by then is kept, and senn-ray resume RUN goes on"
        )
    elif number in _DENIED:
        found = ConfigError(f"{what}; {advice or 'ask for the permission'}")
    elif number in _MISSING:
        kind = ConfigError if doing else DataError
        found = kind(f"{what}; {advice or 'restore it, or give where it is'}")
    elif number in _LIMITS:
        found = ResourceError(
            f"{what}; raise the limit (ulimit -a), or run less at once"
        )
    elif number in _NETWORK or far:
        found = ResourceError(
            f"{what}; the connection was lost or refused: see whether the other side is "
            "up; of a job that had begun, senn-ray resume RUN goes on"
        )
    return found

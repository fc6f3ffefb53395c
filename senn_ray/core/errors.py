"""Errors that users see: what is wrong, where, and what to type.

Every error carries the exit code of the command line (docs/design: contract 4):
1 internal, 2 usage or configuration, 3 resources or cluster, 4 data,
5 budget exhausted, 6 some runs failed, 130 interrupted.
"""


class SennRayError(Exception):
    """Base of all errors that become one line on the console and an exit code."""

    exit_code: int = 1


class ConfigError(SennRayError):
    """Report a wrong setting, flag or file of settings."""

    exit_code = 2


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

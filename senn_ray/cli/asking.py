"""Questions that only a person at a terminal can be asked."""

import sys
from typing import Protocol, TypeVar

from senn_ray.core.errors import UntrustedCodeError

T = TypeVar("T", covariant=True)


class Trusting(Protocol[T]):
    """What does something, or refuses to because it would run code of a run folder."""

    def __call__(self, *, trust: bool) -> T:
        """Do it; an UntrustedCodeError tells of code that may not run."""
        ...


def asking(act: Trusting[T], *, trust: bool) -> T:
    """Do something; ask before code of a run folder runs, where somebody can answer."""
    try:
        return act(trust=trust)
    except UntrustedCodeError as error:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        print(f"senn-ray: {error}\nrun it? [y/N] ", file=sys.stderr, end="", flush=True)
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise
    return act(trust=True)

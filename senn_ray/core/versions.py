"""Versions of what results depend on, and that all workers have the driver's.

Ray itself insists on equal versions of Python and Ray when a driver joins a cluster. It
does not look at anything else, and a worker loads what is installed on its node.
"""

import functools
import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path

from senn_ray.core.errors import ResourceError

PACKAGE = Path(__file__).parents[1]
SHOWN_DIGITS = 16
CODE = "code"
WORKER_PACKAGES = ("senn-ray", "torch", "numpy")
"""What the numbers of a run depend on, beyond Python and Ray."""
JOB_PACKAGES = ("senn-ray", "numpy", "optuna", "pyarrow", "ray", "scipy", "torch")
"""What the tables of a job depend on."""


@functools.cache
def code_hash(package: Path = PACKAGE) -> str:
    """Return the first digits of a SHA-256 over Python files, names and contents.

    It tells checkouts apart that call themselves the same version. What has been loaded
    stays loaded, so the first answer of a process holds.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py"), key=lambda path: path.as_posix()):
        name, text = path.relative_to(package).as_posix(), path.read_bytes()
        digest.update(f"{name}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()[:SHOWN_DIGITS]


def versions() -> dict[str, str]:
    """Return the versions that the tables of a job depend on.

    A package that is not installed (this one, run from its source tree) is left out;
    ``code``, a hash of this package, is always there.
    """
    return {"python": platform.python_version(), **_installed(JOB_PACKAGES)}


def worker_versions() -> dict[str, str]:
    """Return the versions that the numbers of a run depend on."""
    return _installed(WORKER_PACKAGES)


def require_same(driver: Mapping[str, str], node: str) -> None:
    """Refuse to train with other versions than those of the driver.

    Args:
        driver: What ``worker_versions`` gave in the driver.
        node: What messages call this machine.

    Raises:
        ResourceError: if they differ.
    """
    unlike = {name: _version(name) for name in driver if _version(name) != driver[name]}
    if unlike:
        here = ", ".join(f"{name} {text or 'missing'}" for name, text in unlike.items())
        there = ", ".join(f"{name} {driver[name]}" for name in unlike)
        raise ResourceError(
            f"node {node} has {here}, the driver {there}. They must match: use one "
            "image, or one environment from requirements.lock.txt, on all nodes; "
            "compare with: senn-ray doctor"
        )


def _installed(packages: tuple[str, ...]) -> dict[str, str]:
    found = {name: text for name in packages if (text := _version(name))}
    return found | {CODE: code_hash()}


def _version(name: str) -> str | None:
    if name == CODE:
        return code_hash()
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

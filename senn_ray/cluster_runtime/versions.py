"""The same versions in the driver and in every worker: else results cannot be compared.

Ray itself insists on equal versions of Python and Ray when a driver joins a cluster. It
does not look at anything else, and a worker loads what is installed on its node.
"""

import importlib.metadata
from collections.abc import Mapping

from senn_ray.errors import ResourceError
from senn_ray.source import code_hash

PACKAGES = ("senn-ray", "torch", "numpy")
"""What the numbers of a run depend on, beyond Python and Ray."""
CODE = "code"


def installed() -> dict[str, str]:
    """Return the versions of the packages that are installed here.

    ``code`` is a hash of this one's: two checkouts may call themselves the same version.
    """
    found = {name: text for name in PACKAGES if (text := _version(name))}
    return found | {CODE: code_hash()}


def require_same(driver: Mapping[str, str], node: str) -> None:
    """Refuse to train with other versions than those of the driver.

    Args:
        driver: What ``installed`` gave in the driver.
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


def _version(name: str) -> str | None:
    if name == CODE:
        return code_hash()
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

"""What ``senn-ray doctor`` says about Ray: whether it starts, and what it offers."""

import importlib.metadata
import os
import platform
import shutil
import time
from pathlib import Path

from senn_ray.cluster_runtime.resources import runs_that_fit
from senn_ray.cluster_runtime.session import open_session
from senn_ray.config import ClusterConfig
from senn_ray.core.errors import ResourceError

Check = tuple[str, bool, str]
_SHARED = Path("/dev/shm")  # where Ray keeps shared objects on Linux
_LEAST_SHARED_GB = 0.5


def check_cluster(cluster: ClusterConfig) -> list[Check]:
    """Connect as a job would, and tell what there is.

    Returns:
        For each check its name, whether it is well, and what was found.
    """
    return [_python(), _torch(), _shared_memory(), _ray(cluster)]


def _python() -> Check:
    ray = importlib.metadata.version("ray")
    mode = os.environ.get("RAY_AUTH_MODE", "not set")
    text = f"Python {platform.python_version()}, Ray {ray}, RAY_AUTH_MODE {mode}"
    return ("ray versions", True, text)


def _torch() -> Check:
    import torch

    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    count = torch.cuda.device_count()
    here = torch.cuda.get_device_name() if count else "none"
    return ("torch", True, f"{torch.__version__}, {built}; GPUs here: {count} ({here})")


def _shared_memory() -> Check:
    if not _SHARED.is_dir():
        return ("shared memory", True, f"no {_SHARED} here; Ray uses files")
    free = shutil.disk_usage(_SHARED).free / 1e9
    advice = "" if free >= _LEAST_SHARED_GB else "; in a container: --shm-size 2g"
    return ("shared memory", not advice, f"{free:.1f} GB free in {_SHARED}{advice}")


def _ray(cluster: ClusterConfig) -> Check:
    started = time.monotonic()
    try:
        with open_session(cluster) as session:
            seconds = time.monotonic() - started
            runs = runs_that_fit(cluster, session.nodes)
    except ResourceError as error:
        return ("cluster", False, str(error))
    side = f"{runs} run{'s' if runs > 1 else ''} side by side"
    return ("cluster", True, f"{session.where}: {side}; ready in {seconds:.0f} s")

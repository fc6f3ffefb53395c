from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import settings

if TYPE_CHECKING:
    from senn_ray.cluster_runtime.session import Session


UNDRAWN = {"cli", "export", "service", "store"}
"""Rooms whose tests look at no figure."""

# How long an example takes says more of what else the machine does than of the law.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share a Ray, or the fixtures of a file, in one test process."""
    for item in items:
        group = "ray" if item.get_closest_marker("ray") else item.location[0]
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _blank(_canvas: object, file: IO[Any], **how: object) -> None:
    file.write('<svg viewBox="0 0 1 1"></svg>' if how["format"] == "svg" else b"blank")


@pytest.fixture(scope="module", autouse=True)
def _undrawn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave figures blank where tests are not about them: they are most of a tiny job."""
    with pytest.MonkeyPatch.context() as patch:
        if Path(request.path).parent.name in UNDRAWN:
            patch.setattr("matplotlib.figure.Figure.savefig", _blank)
        yield


@pytest.fixture(scope="session")
def ray_runtime() -> "Iterator[Session]":
    """One private Ray for all tests that need it: starting it takes seconds."""
    from senn_ray.cluster_runtime.session import open_session
    from senn_ray.config import ClusterConfig

    with pytest.MonkeyPatch.context() as patch:
        # Tests never join a cluster, and never take much of this machine.
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_AUTH_MODE", "disabled")
        with open_session(ClusterConfig(), cpus=2, object_store_mb=100) as session:
            yield session

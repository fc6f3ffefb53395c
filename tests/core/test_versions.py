import json
import subprocess
import sys
from pathlib import Path

import pytest

from senn_ray.cluster_runtime.worker import TrainRun
from senn_ray.config import ClusterConfig
from senn_ray.core.errors import ResourceError
from senn_ray.core.versions import require_same, worker_versions


def test_a_worker_takes_the_versions_of_the_driver_along() -> None:
    train = TrainRun(ClusterConfig())
    assert set(train.versions) == {"senn-ray", "torch", "numpy", "code"}
    require_same(train.versions, "here")


def test_what_differs_is_named_on_both_sides_and_the_rest_is_not() -> None:
    driver = worker_versions() | {"numpy": "0.1"}
    with pytest.raises(ResourceError) as caught:
        require_same(driver, "n7")
    text = str(caught.value)
    assert (
        f"node n7 has numpy {worker_versions()['numpy']}, the driver numpy 0.1" in text
    )
    assert "torch" not in text
    assert "\n" not in text


def test_a_package_that_a_worker_lacks_is_missing() -> None:
    with pytest.raises(ResourceError, match="has no-such-package missing"):
        require_same({"no-such-package": "1"}, "n7")


def test_another_checkout_of_the_same_version_is_refused() -> None:
    here = worker_versions()["code"]
    with pytest.raises(ResourceError, match=f"n7 has code {here}, the driver code 0ld"):
        require_same(worker_versions() | {"code": "0ld"}, "n7")


def test_a_source_tree_that_is_not_installed_has_its_code_for_a_version() -> None:
    root = Path(__file__).parents[2]
    program = f"""
import json, sys
sys.path.insert(0, {str(root)!r})
from senn_ray.core import versions
versions.require_same(versions.worker_versions(), "here")
print(json.dumps([versions.versions(), versions.worker_versions()]))
"""
    # -S: no site-packages, so no metadata of any package.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    of_job, of_worker = json.loads(done.stdout)
    assert set(of_job) == {"python", "code"}
    assert of_worker == {"code": worker_versions()["code"]}

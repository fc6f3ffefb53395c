"""What a cluster operator applies: checked without a cluster and without a network."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from ray.autoscaler._private.util import prepare_config, validate_config

from senn_ray.cli import main

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
SCRIPTS = ("start-head.sh", "start-worker.sh", "smoke")


class Strict(BaseModel):
    """The fields that we use; a misspelt one is an error, as it is to Kubernetes."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Port(Strict):
    container_port: int
    name: str


class Mount(Strict):
    name: str
    mount_path: str


class Amounts(Strict):
    cpu: str
    memory: str


class Resources(Strict):
    requests: Amounts
    limits: Amounts


class Variable(Strict):
    name: str
    value: str


class Container(Strict):
    name: str
    image: str
    env: list[Variable] = []
    ports: list[Port] = []
    resources: Resources | None = None
    volume_mounts: list[Mount] = []


class Claim(Strict):
    claim_name: str


class Volume(Strict):
    name: str
    persistent_volume_claim: Claim


class SecurityContext(Strict):
    fs_group: int


class PodSpec(Strict):
    security_context: SecurityContext | None = None
    termination_grace_period_seconds: int | None = None
    containers: list[Container] = Field(min_length=1)
    volumes: list[Volume] = []
    restart_policy: Literal["Never", "OnFailure"] | None = None


class Pod(Strict):
    spec: PodSpec


class HeadGroup(Strict):
    ray_start_params: dict[str, str]
    template: Pod


class WorkerGroup(HeadGroup):
    group_name: str
    replicas: int
    min_replicas: int
    max_replicas: int


class Auth(Strict):
    mode: Literal["token", "disabled"]


class RayCluster(Strict):
    ray_version: str
    auth_options: Auth
    head_group_spec: HeadGroup
    worker_group_specs: list[WorkerGroup] = Field(min_length=1)


class RayJobSpec(Strict):
    entrypoint: str
    submission_mode: Literal["K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode"]
    shutdown_after_job_finishes: bool
    ttl_seconds_after_finished: int
    active_deadline_seconds: int
    backoff_limit: int
    submitter_pod_template: Pod
    ray_cluster_spec: RayCluster


class RayJob(Strict):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: dict[str, str]
    spec: RayJobSpec


def _load(name: str) -> Any:
    return yaml.safe_load((CLUSTER / name).read_text(encoding="utf-8"))


def _locked(package: str) -> str:
    lines = (ROOT / "requirements.lock.txt").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith(f"{package}==")]
    return line.partition("==")[2].split()[0]


def _pods(job: RayJob) -> list[PodSpec]:
    cluster = job.spec.ray_cluster_spec
    groups = [cluster.head_group_spec, *cluster.worker_group_specs]
    return [group.template.spec for group in groups]


def test_the_rayjob_has_only_fields_that_exist() -> None:
    job = RayJob.model_validate(_load("rayjob.yaml"))
    for pod in _pods(job):
        claimed = {volume.name for volume in pod.volumes}
        mounted = {
            m.name for container in pod.containers for m in container.volume_mounts
        }
        assert mounted == claimed
    images = {c.image for pod in _pods(job) for c in pod.containers}
    assert len(images) == 1


def test_pods_can_write_the_volume_and_have_time_to_end_in_good_order() -> None:
    job = RayJob.model_validate(_load("rayjob.yaml"))
    image = (CLUSTER / "Dockerfile").read_text(encoding="utf-8")
    for pod in _pods(job):
        assert pod.security_context is not None
        assert f"--uid {pod.security_context.fs_group} ray" in image
        assert (pod.termination_grace_period_seconds or 0) >= 60
    (head,) = job.spec.ray_cluster_spec.head_group_spec.template.spec.containers
    wait_s = {v.name: v.value for v in head.env}["RAY_JOB_STOP_WAIT_TIME_S"]
    assert 3 < int(wait_s) < 60


def test_nothing_but_what_the_image_copies_is_sent_to_its_builder() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    lines = (CLUSTER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ")]
    assert rules[0] == "*"
    kept = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert kept == {name for group in copied for name in group}


def test_the_rayjob_runs_the_ray_that_the_image_has() -> None:
    job = RayJob.model_validate(_load("rayjob.yaml"))
    assert job.spec.ray_cluster_spec.ray_version == _locked("ray")


def test_the_rayjob_keeps_results_on_the_shared_volume() -> None:
    words = shlex.split(_load("rayjob.yaml")["spec"]["entrypoint"])
    assert words[:5] == ["python", "-u", "-m", "senn_ray", "compare"]
    job = RayJob.model_validate(_load("rayjob.yaml"))
    out = words[words.index("--out") + 1]
    for pod in _pods(job):
        mounts = [m.mount_path for c in pod.containers for m in c.volume_mounts]
        assert any(out.startswith(f"{mount}/") for mount in mounts)


def test_the_command_of_the_rayjob_is_understood(tmp_path, capsys) -> None:
    words = shlex.split(_load("rayjob.yaml")["spec"]["entrypoint"])[4:]
    words[words.index("--out") + 1] = str(tmp_path)
    (tmp_path / "mine.txt").write_text("not empty: the verb gets to its folder")
    assert main.run(words) == 2
    assert "is not empty" in capsys.readouterr().err


def test_the_launcher_file_is_accepted_by_ray() -> None:
    validate_config(prepare_config(_load("launcher.yaml")))


def test_a_misspelt_launcher_file_is_not() -> None:
    wrong = _load("launcher.yaml") | {"max_wokers": 2}
    with pytest.raises(Exception, match="max_wokers"):
        validate_config(prepare_config(wrong))


def test_the_image_has_all_that_it_copies() -> None:
    lines = (CLUSTER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ")]
    names = {name for group in copied for name in group}
    assert {"requirements.lock.txt", "pyproject.toml", "senn_ray"} <= names
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_executable_and_well_formed(name) -> None:
    path = CLUSTER / name
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert "set -euo pipefail" in path.read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck here")
@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_pass_shellcheck(name) -> None:
    subprocess.run(["shellcheck", str(CLUSTER / name)], check=True)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("start-head.sh", [], "set RAY_AUTH_MODE to token"),
        ("start-worker.sh", ["head:6379"], "set RAY_AUTH_MODE to what the head has"),
        ("start-worker.sh", [], "which head?"),
    ],
)
def test_no_cluster_starts_without_a_word_on_who_may_use_it(
    name, arguments, message
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "RAY_AUTH_MODE"}
    ended = subprocess.run(
        [str(CLUSTER / name), *arguments],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    assert message in ended.stderr

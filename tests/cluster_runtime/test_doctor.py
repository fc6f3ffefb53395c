import socket

from senn_ray.cluster_runtime import doctor
from senn_ray.config import ClusterConfig


def test_an_unreachable_cluster_is_a_finding_not_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    checks = doctor.check_cluster(ClusterConfig(address=address))
    name, well, found = checks[-1]
    assert (name, well) == ("cluster", False)
    assert f"no Ray cluster at {address}" in found


def test_the_gpus_of_this_machine_are_told(monkeypatch) -> None:
    monkeypatch.setattr("torch.version.cuda", "13.2")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "H200")
    name, well, found = doctor._torch()
    assert (name, well) == ("torch", True)
    assert found.endswith("built for CUDA 13.2; GPUs here: 2 (H200)")


def test_too_little_shared_memory_is_told_with_the_remedy(monkeypatch) -> None:
    def usage(_: object) -> doctor.shutil._ntuple_diskusage:
        return doctor.shutil._ntuple_diskusage(64_000_000, 0, 64_000_000)

    monkeypatch.setattr(doctor.shutil, "disk_usage", usage)
    assert doctor._shared_memory() == (
        "shared memory",
        False,
        "0.1 GB free in /dev/shm; in a container: --shm-size 2g",
    )

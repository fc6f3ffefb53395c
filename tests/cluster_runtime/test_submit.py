import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import requests

from senn_ray.cluster_runtime import submit
from senn_ray.cluster_runtime.submit import submit_job
from senn_ray.core.errors import ConfigError, ResourceError
from senn_ray.search.plan import Verb

JOB = "senn-ray-1"


class FakeClient:
    """A cluster on which one job runs; its log stream breaks once in between."""

    def __init__(self, status: str, code: int | None, *, interrupt: bool = False):
        self.info = SimpleNamespace(
            status=status, driver_exit_code=code, message="head ran out of memory"
        )
        self.interrupt = interrupt
        self.submitted: dict[str, Any] = {}
        self.tails = 0

    def submit_job(self, **request: Any) -> str:
        self.submitted = request
        return JOB

    async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
        assert job == JOB
        self.tails += 1
        if self.interrupt:
            raise KeyboardInterrupt
        if self.tails == 1:
            yield "one\ntw"
            raise RuntimeError("WebSocket connection closed unexpectedly")
        yield "one\n"
        yield "two\nthree\n"

    def get_job_status(self, job: str) -> Any:
        ended = self.tails > 1 and job == JOB
        return SimpleNamespace(is_terminal=lambda: ended)

    def get_job_info(self, job: str) -> Any:
        assert job == JOB
        return self.info


async def _at_once(_: float) -> None:
    """Sleep no more."""


def _submit(monkeypatch: Any, client: FakeClient, *args: str) -> tuple[int, str, str]:
    monkeypatch.setattr(submit, "_client", lambda _: client)
    monkeypatch.setattr(submit.asyncio, "sleep", _at_once)
    shown: list[str] = []
    noted: list[str] = []
    code = submit_job(
        "http://head:8265",
        args,
        working_dir=Path("/work-dir"),
        write=shown.append,
        note=noted.append,
    )
    return code, "".join(shown), "".join(noted)


@pytest.mark.parametrize(
    ("status", "driver", "code"),
    [
        ("SUCCEEDED", 0, 0),
        ("FAILED", 5, 5),
        ("FAILED", None, 3),
        ("STOPPED", None, 130),
    ],
)
def test_the_exit_code_is_the_one_of_the_verb(
    monkeypatch, status, driver, code
) -> None:
    client = FakeClient(status, driver)
    got, _, noted = _submit(monkeypatch, client, "report", "runs/a")
    assert got == code
    assert ("head ran out of memory" in noted) == (code == 3)


def test_logs_are_shown_once_across_a_broken_connection(monkeypatch) -> None:
    _, shown, _ = _submit(monkeypatch, FakeClient("SUCCEEDED", 0), "report", "x")
    assert shown == "one\ntwo\nthree\n"


def test_an_interrupt_leaves_the_job_running_and_says_how_to_find_it(
    monkeypatch,
) -> None:
    client = FakeClient("RUNNING", None, interrupt=True)
    code, _, noted = _submit(monkeypatch, client, "compare", "--out", "/shared/a")
    assert code == 130
    assert f"job {JOB} goes on" in noted
    assert f"ray job logs --follow {JOB} --address http://head:8265" in noted


def test_words_reach_the_verb_unchanged(monkeypatch) -> None:
    client = FakeClient("SUCCEEDED", 0)
    words = ("grow", "--out=/shared/my runs", "--data.dataset", "factory:a.b:c;d")
    _submit(monkeypatch, client, *words)
    assert client.submitted["entrypoint"] == (
        "python -u -m senn_ray grow '--out=/shared/my runs' "
        "--data.dataset 'factory:a.b:c;d'"
    )
    assert client.submitted["runtime_env"]["working_dir"] == "/work-dir"


@pytest.mark.parametrize("out", [["--out", "results"], ["--out=results"]])
def test_a_relative_out_is_made_absolute_and_said(monkeypatch, out) -> None:
    client = FakeClient("SUCCEEDED", 0)
    _, _, noted = _submit(monkeypatch, client, "grow", *out)
    absolute = str(Path("results").absolute())
    assert client.submitted["entrypoint"].endswith(absolute)
    assert f"--out results is taken as {absolute}" in noted


@pytest.mark.parametrize("verb", get_args(Verb))
def test_without_out_the_temporary_folder_is_named_for_every_job(
    monkeypatch, verb
) -> None:
    warning = "no --out: the results will be in a temporary folder"
    _, _, noted = _submit(monkeypatch, FakeClient("SUCCEEDED", 0), verb)
    assert warning in noted
    words = (verb, "--output.root", "s3://bucket/runs")
    _, _, noted = _submit(monkeypatch, FakeClient("SUCCEEDED", 0), *words)
    assert warning not in noted


def test_a_relative_root_of_run_folders_is_made_absolute_too(monkeypatch) -> None:
    client = FakeClient("SUCCEEDED", 0)
    _, _, noted = _submit(monkeypatch, client, "scan", "--output.root=mine")
    absolute = str(Path("mine").absolute())
    assert client.submitted["entrypoint"].endswith(f"--output.root={absolute}")
    assert f"--output.root mine is taken as {absolute}" in noted


def test_settings_from_below_the_command_line_travel_as_variables(monkeypatch) -> None:
    client, noted = FakeClient("SUCCEEDED", 0), list[str]()
    monkeypatch.setattr(submit, "_client", lambda _: client)
    monkeypatch.setattr(submit.asyncio, "sleep", _at_once)
    given = {"SENN_RAY_TRAIN_LR": "0.1", "SENN_RAY_OUTPUT_ROOT": "mine"}
    submit_job(
        "http://head:8265",
        ["scan"],
        environment=given,
        write=noted.append,
        note=noted.append,
    )
    absolute = str(Path("mine").absolute())
    sent = client.submitted["runtime_env"]["env_vars"]
    assert sent == given | {"SENN_RAY_OUTPUT_ROOT": absolute}
    said = "".join(noted)
    assert "settings sent along: SENN_RAY_OUTPUT_ROOT, SENN_RAY_TRAIN_LR" in said
    assert "no --out" not in said


def test_proxies_of_the_environment_do_not_swallow_the_address_of_a_cluster(
    monkeypatch,
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "elsewhere")
    seen = dict[str, str | None]()
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        submit._require_answer(address)
        with submit._reached_directly(address):
            seen |= requests.utils.get_environ_proxies(address)
            assert requests.utils.get_environ_proxies("http://far.example")
        server.shutdown()
    assert not seen
    assert os.environ["no_proxy"] == "elsewhere"


def test_an_unreachable_cluster_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(ResourceError) as caught:
        submit_job(address, ["compare"], note=lambda _: None)
    assert str(caught.value).startswith(f"no Ray cluster takes jobs at {address} (")
    assert "\n" not in str(caught.value)


def test_other_addresses_say_which_one_is_wanted() -> None:
    with pytest.raises(ConfigError, match="such as http://HOST:8265"):
        submit_job("head:6379", ["compare"], note=lambda _: None)


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """A Ray head on the loopback device, ended by its process id; its job address."""
    dashboard, agent, client = _free_ports(3)
    folder = Path(tempfile.mkdtemp(prefix="senn-"))
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "disabled",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }
    environment.pop("RAY_ADDRESS", None)
    command = (
        f"{bin_folder / 'ray'} start --head --block --port 0 --num-cpus 1 "
        f"--object-store-memory 100000000 --temp-dir {folder} --disable-usage-stats "
        f"--dashboard-host 127.0.0.1 --dashboard-port {dashboard} "
        f"--dashboard-agent-listen-port {agent} --ray-client-server-port {client} "
        "--min-worker-port 0 --max-worker-port 0"
    ).split()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield _answering(f"http://127.0.0.1:{dashboard}", process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def _answering(address: str, process: "subprocess.Popen[bytes]") -> str:
    for _ in range(600):
        assert process.poll() is None, "the head has ended"
        try:
            with urllib.request.urlopen(f"{address}/api/version", timeout=5):
                return address
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
    raise TimeoutError(address)


@pytest.mark.ray
@pytest.mark.slow
def test_a_job_gets_its_folder_prints_here_and_returns_its_code(
    head, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    # Must not win over the address that is given.
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    (tmp_path / "mine.yaml").write_text("data: {per_class: 0}\n")
    shown: list[str] = []
    code = submit_job(
        head,
        ("grow", "--out", "/nowhere", "-c", "mine.yaml"),
        working_dir=tmp_path,
        write=shown.append,
        note=lambda _: None,
    )
    assert code == 2
    assert "data.per_class must be at least 1" in "".join(shown)

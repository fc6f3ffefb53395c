"""Bad input and bad luck: one line (what, where, what to type), an exit code, and a run
folder that can still be read. Numbers are those of the list of errors that the command
line was designed with (docs/design.md)."""

import json
import platform
import socket
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import ray
from ray._private.utils import check_version_info

from senn_ray.cli.main import run
from senn_ray.cluster_runtime import reach
from senn_ray.cluster_runtime.worker import TrainRun
from senn_ray.config import ClusterConfig
from senn_ray.core.errors import DataError
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.data.examples import RawData
from senn_ray.search.executor import LocalExecutor
from senn_ray.service import jobs, verbs
from senn_ray.store import journal, lock

TINY = [
    "--data.per-class", "20", "--data.val-per-class", "10", "--train.max-steps", "12",
    "--train.min-steps", "4", "--train.evaluations", "2", "--growth.candidates", "4",
    "--growth.ascent-steps", "1",
]  # fmt: skip
Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "on_ray", verbs.in_process)


def fails(words: list[str], code: int, says: list[str], capsys: Printed) -> None:
    capsys.readouterr()
    assert run(words) == code
    printed = capsys.readouterr()
    assert printed.err.startswith("senn-ray: ")
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.out + printed.err
    for words_of_it in says:
        assert words_of_it in printed.err


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


BEFORE_WORK = {
    "E01 unknown flag": (
        ["grow", "--data.per-clas", "3"], 2, ["data.per-clas", "Did you mean"],
    ),
    "E02 bad value": (
        ["grow", "--growth.absolute-threshold", "-1"],
        2, ["growth.absolute_threshold = -1", "greater than 0"],
    ),
    "E03 start above the cap": (
        ["grow", "--model.hidden", "64", "--model.max-hidden", "32"],
        2, ["model.hidden", "exceeds", "model.max_hidden 32", "raise"],
    ),
    "E05 more CPUs than there are": (
        ["grow", "--cluster.cpus-per-worker", "9999"],
        3, ["9999 CPUs", "would wait for ever", "--cluster.cpus-per-worker"],
    ),
    "E07 not enough examples": (
        ["grow", "--data.per-class", "9999"], 4, ["9999", "at most"],
    ),
    "E08 no such data set": (
        ["grow", "--data.dataset", "mnits"], 2, ["mnits", "did you mean mnist"],
    ),
    "E08 missing files": (
        ["grow", "--data.dataset", "parquet:missing"], 4, ["missing"],
    ),
    "E16 a folder that cannot be written": (
        ["grow", "--out", "file/run"], 2, ["cannot write", "give another --out"],
    ),
    "layers that could not be the identity": (
        ["grow", "--model.max-depth", "3"],
        2, ["model.activation silu can never be the identity", "use rational or prelu"],
    ),
    "no factors for what the nonlinearity learns": (
        ["grow", "--train.optimizer", "natural", "--model.activation", "rational"],
        2, ["natural has no factors", "rational", "use train.optimizer adamw"],
    ),
    "normalisation": (
        ["grow", "--model.batch-norm", "true"],
        2, ["model.batch-norm is not a setting", "an addition would change"],
    ),
    "pooling": (["grow", "--model.pool=max"], 2, ["pooling is not a choice"]),
    "a setting that is gone": (
        ["grow", "--cluster.batch-seeds", "3"],
        2, ["cluster.batch_seeds is gone: every run has a worker of its own now"],
    ),
    "a threshold that is gone": (
        ["grow", "--growth.removal-threshold", "0.1"],
        2, ["growth.removal_threshold is gone", "choose on the front", "front.choose"],
    ),
    "exploration": (
        ["grow", "--growth.exploration", "1"],
        2, ["growth.exploration is gone", "choose on the front"],
    ),
    "sizes that do not fall": (
        ["grow", "--front.sizes", "100,300,200"],
        2, ["front.sizes must fall, but 300 comes after 100",
            "type --front.sizes 300,200,100"],
    ),
    "a size of nothing": (
        ["grow", "--front.sizes", "100,0"], 2, ["front.sizes needs numbers of at least 1"],
    ),
    "no such arm": (
        ["grow", "--baseline.arms", "foo"],
        2, ["there is no arm foo; the arms are gradmax, wide_prune"],
    ),
    "no seeds": (["grow", "--seeds", "0"], 2, ["--seeds must be at least 1"]),
    "no cluster to submit to": (["submit", "--address", "x"], 2, ["needs a verb"]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "says"), BEFORE_WORK.values(), ids=BEFORE_WORK
)
def test_what_is_wrong_before_any_work_leaves_no_folder(
    words: list[str],
    code: int,
    says: list[str],
    capsys: Printed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "CPU" not in says[0]:  # the cores are counted where Ray would start
        monkeypatch.setattr(jobs, "on_ray", verbs.in_process)
    Path("file").write_text("")
    work = [] if words[0] == "submit" else ["--quiet"]
    fails([*words, *work], code, says, capsys)
    assert not Path("runs").exists()
    assert Path("file").read_text() == ""


@pytest.mark.parametrize(
    "words",
    [["--data.dataset", "mnits"], ["--data.dataset=digits", "--data.per-class=9999"]],
    ids=["no such data", "too few examples"],
)
def test_a_refused_job_names_neither_a_folder_nor_workers(
    words: list[str], capsys: Printed
) -> None:
    assert run(["grow", *words]) != 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("senn-ray: ")


def test_a_job_names_its_folder_when_it_is_there(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "on_ray", verbs.in_process)
    steps = ["--train.min-steps=1", "--train.max-steps=2"]
    assert run(["grow", "--out", "here", *steps]) == 0
    lines = capsys.readouterr().out.splitlines()
    folder = f"run folder {Path('here').absolute()}"
    assert lines[:2] == ["starting workers ...", folder]


def test_e01_a_file_is_named_with_its_key(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("senn.yaml").write_text("data: {per_clas: 3}")
    says = ["senn.yaml: data.per_clas is not a setting. Did you mean data.per_class?"]
    fails(["grow", "-c", "senn.yaml"], 2, says, capsys)
    Path("senn.yaml").write_text("model: {norm: layer}")
    says = ["senn.yaml: model.norm is not a setting: there is no normalisation"]
    fails(["grow", "-c", "senn.yaml"], 2, says, capsys)
    Path("senn.yaml").write_text("cluster: {batch_seeds: 3}")
    gone = "cluster.batch_seeds is gone: every run has a worker of its own now"
    fails(["grow", "-c", "senn.yaml"], 2, [f"senn.yaml: {gone}"], capsys)
    monkeypatch.setenv("SENN_RAY_CLUSTER_BATCH_SEEDS", "3")
    fails(["grow"], 2, [f"SENN_RAY_CLUSTER_BATCH_SEEDS: {gone}"], capsys)


def test_e04_a_cluster_that_does_not_answer_is_told_soon(capsys: Printed) -> None:
    address = f"127.0.0.1:{closed_port()}"
    words = ["grow", *TINY, "--cluster.address", address, "--out", "run", "--quiet"]
    fails(words, 3, [address], capsys)
    assert not Path("run").exists()


@pytest.mark.usefixtures("without_ray")
def test_e10_and_e11_other_settings_and_a_busy_folder_change_nothing(
    capsys: Printed,
) -> None:
    assert run(["grow", *TINY, "--out", "run", "--quiet"]) == 0
    before = Path("run/journal.jsonl").read_bytes()
    changed = ["resume", "run", "--train.lr", "0.5", "--quiet"]
    fails(changed, 2, ["train.lr was 0.003, now 0.5", "start a new run"], capsys)
    with lock.hold(Path("run").absolute()):
        busy = ["is being written by pid", "senn-ray watch", "senn-ray stop"]
        fails(["resume", "run", "--quiet"], 2, busy, capsys)
    fails(["grow", "--out", "run"], 2, ["is not empty"], capsys)
    assert Path("run/journal.jsonl").read_bytes() == before


@pytest.mark.usefixtures("without_ray")
def test_e12_a_diverged_run_is_counted_and_the_job_is_readable(capsys: Printed) -> None:
    words = ["grow", *TINY, "--train.lr", "1e30", "--out", "run", "--json"]
    assert run(words) == 6
    summary = json.loads(capsys.readouterr().out)
    assert summary["runs"][0]["run_state"] == "diverged"
    assert "1 of 1 runs diverged" in summary["caveats"][0]["text"]
    assert run(["status", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arms"]["senn"]["failed"] == 1


@pytest.mark.usefixtures("without_ray")
def test_e14_the_cap_is_named_where_growth_ended_at_it(capsys: Printed) -> None:
    words = ["grow", "--model.hidden", "2", "--model.max-hidden", "3", "--out", "run"]
    steps = ["--train.max-steps", "200", "--train.min-steps", "100", "--json"]
    assert run([*words, *steps]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["stop_reason"] == "cap_hit"
    assert "model.max_hidden" in summary["caveats"][0]["text"]


@pytest.mark.parametrize(
    "cluster",
    [
        {"ray_version": "2.58.1", "python_version": platform.python_version()},
        {"ray_version": ray.__version__, "python_version": "3.10.1"},
    ],
    ids=["Ray", "Python"],
)
def test_e06_a_cluster_of_other_versions_is_refused_with_both_named(
    cluster: dict[str, str], capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_: Any) -> None:
        check_version_info(cluster, "node 10.0.0.7")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(reach, "find_head", lambda address: (address, False))
    words = ["grow", *TINY, "--cluster.address", "head:6379", "--out", "run", "--quiet"]
    says = [*cluster.values(), ray.__version__, platform.python_version(), "same ver"]
    fails(words, 3, [*says, "senn-ray doctor"], capsys)
    assert not Path("run").exists()


def test_e05_a_ray_that_does_not_start_is_a_resource_error(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_: Any) -> None:
        raise Exception("The current node timed out during startup.")  # noqa: TRY002

    monkeypatch.setattr(ray, "init", init)
    words = ["grow", *TINY, "--out", "run", "--quiet"]
    says = ["Ray did not start here: The current node timed out", "senn-ray doctor"]
    fails(words, 3, says, capsys)
    assert not Path("run").exists()


def skewed(spec: RunSpec) -> RunRecord:
    train = TrainRun(ClusterConfig(), versions={"torch": "0.1"})
    raw: Any = None  # It is refused before it is looked at.
    return train(spec, raw, reducer=None, on_progress=None)


def test_e06_a_worker_with_other_packages_ends_the_job_in_one_line(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "on_ray", executor_of(skewed))
    words = ["scan", *TINY[2:], "--scan.per-class", "10,20", "--out", "run", "--quiet"]
    says = [f"torch {version('torch')}", "the driver torch 0.1", "one image"]
    fails(words, 3, says, capsys)
    assert run(["status", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "failed"


OWN_DATA = """
import numpy as np

def leaky():
    x = np.random.default_rng(0).normal(size=(90, 3))
    y = np.arange(90) % 3
    return (x[:60], y[:60]), (x[50:], y[50:])
"""


@pytest.mark.usefixtures("without_ray")
def test_e09_examples_in_both_parts_are_refused_unless_there_is_a_reason(
    capsys: Printed,
) -> None:
    Path("own_data.py").write_text(OWN_DATA)
    words = ["grow", *TINY[2:], "--data.dataset", "factory:own_data:leaky"]
    words += ["--out", "run"]
    says = ["share 10 identical examples", '--data.allow-overlap "WHY"']
    fails([*words, "--quiet"], 4, says, capsys)
    assert not Path("run").exists()
    why = "patients seen twice"
    assert run([*words, "--data.allow-overlap", why, "--json"]) == 0
    assert why in json.loads(capsys.readouterr().out)["caveats"][0]["text"]
    assert why in Path("run/report/index.html").read_text()


def starved(spec: RunSpec) -> RunRecord:
    raise MemoryError(f"Unable to allocate 9 TiB for {spec.run_id}")


def test_e13_short_of_memory_is_counted_as_failed_and_says_what_to_lower(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "on_ray", executor_of(starved))
    assert run(["grow", *TINY, "--out", "run", "--json"]) == 6
    found = json.loads(capsys.readouterr().out)["runs"][0]
    assert found["run_state"] == "failed"
    assert "--train.batch-size, for all arms alike" in found["error"]
    assert run(["report", "run"]) == 0


@pytest.mark.usefixtures("without_ray")
def test_e17_a_budget_that_is_used_up_leaves_partial_results(capsys: Printed) -> None:
    words = ["grow", *TINY, "--seeds", "3", "--budget.device-hours", "1e-9"]
    assert run([*words, "--out", "run", "--json"]) == 5
    summary = json.loads(capsys.readouterr().out)
    assert "budget.device_hours 1e-09 is used up" in summary["budget"]
    assert len(summary["runs"]) == 1
    assert run(["status", "run", "--json"]) == 0
    more = ["resume", "run", "--extend", "budget.device_hours=1", "--json", "--quiet"]
    capsys.readouterr()
    assert run(more) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 3


def executor_of(
    work: Callable[[RunSpec], RunRecord],
) -> Callable[[RawData, ClusterConfig], LocalExecutor]:
    def make(_raw: RawData, _cluster: ClusterConfig) -> LocalExecutor:
        return LocalExecutor(lambda spec, _on_progress: work(spec))

    return make


def unfit(spec: RunSpec) -> RunRecord:
    raise DataError(f"label 17 of {spec.data.dataset} is no class; repair it")


def test_unfit_data_that_only_workers_see_ends_the_job_in_one_line(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "on_ray", executor_of(unfit))
    words = ["grow", *TINY, "--seeds", "50", "--out", "run", "--quiet"]
    says = ["label 17 of digits is no class; repair it", "all runs would fail"]
    fails(words, 4, says, capsys)
    events = journal.read(Path("run"))
    assert len(events) < 10
    assert run(["status", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "failed"
    assert run(["report", "run"]) == 0
    scan = ["scan", *TINY[2:], "--scan.per-class", "10,20", "--out", "scan", "--quiet"]
    assert run(scan) == 6, "the cells of a scan have data of their own"


def test_e16_a_disk_that_is_full_ends_the_job_in_one_line(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "on_ray", verbs.in_process)
    kept = journal.Journal.append

    def append(self: journal.Journal, event: Any) -> None:
        if "RunFinished" in type(event).__name__:
            raise OSError(28, "No space left on device")
        kept(self, event)

    monkeypatch.setattr(journal.Journal, "append", append)
    words = ["grow", *TINY, "--out", "run", "--quiet"]
    fails(words, 3, ["No space left on device", "senn-ray resume RUN"], capsys)
    assert json.loads(Path("run/manifest.json").read_text())["state"] == "failed"
    monkeypatch.setattr(journal.Journal, "append", kept)
    assert run(["status", "run"]) == 0
    assert run(["resume", "run", "--quiet"]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["status", "nothing"],
        ["watch", "nothing"],
        ["stop", "nothing"],
        ["report", "nothing"],
        ["export", "nothing"],
        ["resume", "nothing", "--quiet"],
    ],
    ids=lambda words: words[0],
)
def test_verbs_on_what_is_no_run_folder_say_so(
    words: list[str], capsys: Printed
) -> None:
    fails(words, 4, ["give the folder of a run"], capsys)
    assert not Path("nothing").exists()

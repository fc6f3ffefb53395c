"""The verbs in one process, with real training: tiny, but through every room but Ray."""

import json
import multiprocessing
import os
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from multiprocessing.context import ForkProcess as Process
from pathlib import Path
from typing import Any

import pytest
import yaml

from senn_ray.analysis.results import to_json
from senn_ray.config import ClusterConfig, Config
from senn_ray.core.errors import ConfigError, DataError
from senn_ray.core.events import Event, JobEnded, JobStarted, RunFinished
from senn_ray.data.examples import RawData
from senn_ray.search.executor import LocalExecutor, Report
from senn_ray.service import verbs
from senn_ray.store import journal

TINY: dict[str, Any] = {
    "data": {"per_class": 20, "val_per_class": 10},
    "model": {"max_hidden": 8},
    "train": {"max_steps": 12, "min_steps": 4, "epochs": 2, "evaluations": 2},
    "growth": {"candidates": 4, "ascent_steps": 1},
    "compare": {"seeds": 2, "retrain_seeds": 1},
    "baseline": {"max_trials": 2, "studies": 1, "trials_per_study": 2, "repeats": 1},
}


def settings(**changes: Any) -> Config:
    return Config.model_validate(TINY | changes)


def in_child(drive: Callable[[], verbs.JobResult[Any]]) -> Process:
    """Start a job in another process, which has no modules to load."""

    def work() -> None:
        # What is printed there is not for the pytest that this process was copied from.
        with redirect_stdout(StringIO()):
            code = drive().exit_code
        os._exit(code)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    return child


class Interrupted(LocalExecutor):
    """Ctrl-C arrives with the second finished run."""

    finished = 0

    def wait(self) -> list[Report]:
        reports = super().wait()
        self.finished += sum(isinstance(report, RunFinished) for report in reports)
        if self.finished > 1:
            raise KeyboardInterrupt
        return reports


def interrupted(raw: RawData, cluster: ClusterConfig) -> Interrupted:
    executor = verbs.in_process(raw, cluster)
    assert isinstance(executor, LocalExecutor)
    return Interrupted(executor._run)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> verbs.JobResult[Any]:
    out = tmp_path_factory.mktemp("app") / "compare"
    return verbs.compare(settings(), out=out, executor=verbs.in_process)


def test_a_comparison_leaves_the_run_folder_of_the_contract(
    compared: verbs.JobResult[Any],
) -> None:
    assert compared.exit_code == 0
    names = {path.name for path in compared.folder.iterdir()}
    assert names >= {
        "config.yaml", "protocol.json", "manifest.json", "summary.json",
        "journal.jsonl", "tables", "checkpoints", "report", "optuna",
    }  # fmt: skip
    kept = json.loads((compared.folder / "summary.json").read_text())
    assert kept == to_json(compared.summary)
    assert (compared.folder / "report" / "index.html").is_file()
    assert compared.table("runs").num_rows > 2


def test_only_runs_of_which_none_is_chosen_have_seen_test_data(
    compared: verbs.JobResult[Any],
) -> None:
    table = compared.table("runs")
    seen = {
        arm
        for arm, loss in zip(table["arm"], table["test_loss"], strict=True)
        if loss.as_py() is not None
    }
    assert {str(arm) for arm in seen} == {
        "senn",
        "confirm",
        "wide_prune",
        "wide_magnitude",
    }


def test_the_report_can_be_computed_again_from_the_journal(
    compared: verbs.JobResult[Any],
) -> None:
    before = {
        path.relative_to(compared.folder): path.read_bytes()
        for path in [
            compared.folder / "summary.json",
            *(compared.folder / "tables").iterdir(),
        ]
    }
    for path in before:
        (compared.folder / path).unlink()
    page = verbs.report(compared.folder)
    assert page == compared.folder / "report" / "index.html"
    for path, contents in before.items():
        assert (compared.folder / path).read_bytes() == contents


def test_growing_is_observed_and_repeats_bit_for_bit(tmp_path: Path) -> None:
    seen = list[Event]()
    first = verbs.grow(
        settings(seed=3),
        out=tmp_path / "a",
        seeds=2,
        observe=seen.append,
        executor=verbs.in_process,
    )
    again = verbs.grow(settings(seed=4), out=tmp_path / "b", executor=verbs.in_process)
    assert isinstance(seen[0], JobStarted)
    assert isinstance(seen[-1], JobEnded)
    assert [run.seed for run in first.summary.runs] == [3, 4]
    twin, alone = first.summary.runs[1], again.summary.runs[0]
    assert twin.val_loss == alone.val_loss
    assert twin.hidden == alone.hidden


def test_after_an_interrupt_what_is_finished_is_readable(tmp_path: Path) -> None:
    result = verbs.grow(settings(), out=tmp_path / "a", seeds=3, executor=interrupted)
    assert result.exit_code == 130
    assert result.summary.state == "interrupted"
    assert len(result.summary.runs) == 1
    assert result.table("runs").num_rows == 1
    last = journal.read(result.folder)[-1]
    assert last == JobEnded(state="interrupted", exit_code=130)


def test_bad_input_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="per_class"):
        verbs.grow(
            settings(data={"per_class": 9999}),
            out=tmp_path / "a",
            executor=verbs.in_process,
        )
    with pytest.raises(ConfigError, match="one hidden layer"):
        verbs.compare(settings(model={"hidden": (2, 2)}), out=tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_an_occupied_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(ConfigError, match="not empty"):
        verbs.grow(settings(), out=tmp_path, executor=verbs.in_process)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_doctor_tells_what_is_wrong_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from senn_ray.cluster_runtime import doctor

    (tmp_path / "file").write_text("")
    monkeypatch.setattr(doctor, "check_cluster", lambda _: [("cluster", True, "here")])
    root = str(tmp_path / "file" / "runs")
    found = verbs.doctor(settings(output={"root": root}))
    assert [(name, ok) for name, ok, _ in found] == [
        ("versions", True),
        ("output", False),
        ("data", True),
        ("cluster", True),
    ]
    assert "cannot write" in found[1][2]


def test_a_scan_grows_on_nested_subsets_of_the_data(tmp_path: Path) -> None:
    config = settings(
        data={"val_per_class": 10},
        scan={"per_class": ["all", 20], "subset_seeds": 2, "oracle": [20]},
    )
    result = verbs.scan(config, out=tmp_path / "a", executor=verbs.in_process)
    assert result.exit_code == 0
    cells = [(c.per_class, c.subset_seed) for c in result.summary.cells]
    assert cells == [(20, 0), (20, 1), ("all", 0), ("all", 1)]
    assert [c.n_train for c in result.summary.cells[:2]] == [200, 200]
    table = result.table("scan")
    assert table["per_class"].to_pylist() == ["20", "20", "all", "all"]
    (oracle,) = result.summary.oracle
    assert [row.hidden for row in oracle.widths] == [2, 4, 8]
    assert result.table("runs").num_rows == 4 + 3 * 2
    protocol = json.loads((result.folder / "protocol.json").read_text())
    assert protocol["scan"]["per_class"] == [20, "all"]
    assert len(set(protocol["senn_seeds"])) == 4
    sizes = [cell.n_train for cell in result.summary.cells]
    assert sorted(protocol["split"]["n_train"]) == sorted(sizes)
    assert protocol["split"]["n_val"] == 100
    kept = Config.model_validate(
        yaml.safe_load((result.folder / "config.yaml").read_text())
    )
    assert kept.scan.per_class == (20, "all")


def test_a_scan_that_asks_for_too_much_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"scan.per_class=9999: .* use at most \d+"):
        verbs.scan(
            settings(data={}, scan={"per_class": [9999]}),
            out=tmp_path / "a",
            executor=verbs.in_process,
        )
    with pytest.raises(ConfigError, match=r"--scan\.per-class 20,all"):
        verbs.scan(settings(), out=tmp_path / "a", executor=verbs.in_process)
    with pytest.raises(ConfigError, match="one hidden layer"):
        verbs.scan(
            settings(data={}, model={"hidden": (2, 2)}, scan={"oracle": ["all"]})
        )
    assert not (tmp_path / "a").exists()


def test_export_of_a_run_by_its_path_says_what_to_type(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    verbs.grow(settings(), out=folder, executor=verbs.in_process)
    with pytest.raises(ConfigError, match=rf"export {folder} --pick senn-0-000"):
        verbs.export(folder / "senn-0-000")


@pytest.mark.parametrize("out", ["/proc/x", "/proc/x/y", "/dev/null/x"])
def test_a_folder_that_cannot_be_made_is_refused_before_workers_start(out: str) -> None:
    def never(*_: object) -> LocalExecutor:
        pytest.fail("started")

    with pytest.raises(ConfigError, match=r"cannot write .*another --out"):
        verbs.grow(settings(), out=out, executor=never)

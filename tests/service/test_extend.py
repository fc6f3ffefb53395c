"""``resume --extend`` and ``--retry-failed``, and budgets: with real training."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from senn_ray.cli.main import run
from senn_ray.config import ClusterConfig, Config
from senn_ray.core.errors import BudgetError
from senn_ray.core.events import JobResumed, RunFinished, RunSubmitted, StopRequested
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.data.examples import RawData
from senn_ray.search.executor import LocalExecutor, OnProgress, failed_record
from senn_ray.service import jobs, verbs
from senn_ray.store import journal
from tests.service.test_resume import results
from tests.service.test_verbs import settings


@pytest.fixture(autouse=True)
def _without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "on_ray", verbs.in_process)


def protocol(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "protocol.json").read_text())


def test_a_job_that_is_over_goes_on_to_what_the_longer_one_would_have_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a"
    verbs.grow(settings(), out=folder, seeds=2, executor=verbs.in_process)
    old = protocol(folder)
    words = ["resume", str(folder), "--extend", "compare.seeds=3"]
    assert run([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    said = "deviation from the protocol: compare.seeds from 2 to 3, after 2 runs"
    assert [caveat for caveat in printed["caveats"] if said in caveat["text"]]
    assert said in (folder / "report" / "index.html").read_text()
    whole = verbs.grow(
        settings(), out=tmp_path / "b", seeds=3, executor=verbs.in_process
    )
    again = verbs.resume(folder)
    assert again.was_over
    assert results(again) == results(whole)
    new = protocol(folder)
    (deviation,) = new["deviations"]
    assert deviation["extended"] == {"compare.seeds": 3}
    assert deviation["after_protocol_id"] == old["protocol_id"] != new["protocol_id"]
    kept = folder / f"protocol-{old['protocol_id']}.json"
    assert json.loads(kept.read_text()) == old
    (resumed,) = [e for e in journal.read(folder) if isinstance(e, JobResumed)]
    assert resumed.protocol_id == new["protocol_id"]
    written = yaml.safe_load((folder / "config.yaml").read_text())
    assert Config.model_validate(written).compare.seeds == 3


def test_a_folder_from_before_the_protocol_knew_code_and_split_goes_on(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "a"
    verbs.grow(settings(), out=folder, seeds=2, executor=verbs.in_process)
    old = protocol(folder)
    assert len(old["split"]["sha256"]) == 64
    del old["split"], old["seed"], old["model"], old["versions"]["code"]
    (folder / "protocol.json").write_text(json.dumps(old))
    lines = (folder / journal.FILE_NAME).read_text().splitlines()
    first = json.loads(lines[0])
    del first["data"]["versions"]["code"]
    lines = [json.dumps(first), *lines[1:]]
    (folder / journal.FILE_NAME).write_text("\n".join(lines) + "\n")
    result = verbs.resume(folder, extend=["compare.seeds=3"], executor=verbs.in_process)
    assert result.table("runs").num_rows == 3
    assert not any("versions" in said.text for said in result.summary.caveats)
    assert len(protocol(folder)["split"]["sha256"]) == 64
    found = verbs.rerun(folder, "senn-0-000", executor=verbs.in_process)
    assert found["same"]
    assert found["versions_changed"] == {}


def test_what_cannot_be_extended_leaves_the_folder_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a"
    verbs.grow(settings(), out=folder, executor=verbs.in_process)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    for word, says in {
        "train.lr=0.5": "--extend train.lr=0.5: give key=value with one of baseline",
        "compare.seeds": "'': should be a valid integer",
        "compare.seeds=0": "greater than or equal to 1",
        "budget.device_hours=3": "it has no limit",
    }.items():
        assert run(["resume", str(folder), "--extend", word, "--quiet"]) == 2
        printed = capsys.readouterr().err
        assert says in printed
        assert printed.count("\n") == 1
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_a_budget_ends_a_job_with_what_is_finished_and_can_be_raised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a"
    words = [
        "grow", "--out", str(folder), "--seeds", "3", "--budget.device-hours", "1e-9",
        "--data.per-class", "20", "--data.val-per-class", "10",
        "--train.max-steps", "12", "--train.min-steps", "4", "--json",
    ]  # fmt: skip
    assert run(words) == 5
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert summary["state"] == "budget"
    assert 0 < len(summary["runs"]) < 3
    assert "budget.device_hours 1e-09 is used up" in summary["budget"]
    last = printed.err.splitlines()[-1]
    assert f"senn-ray resume {folder} --extend budget.device_hours=HOURS" in last
    assert any(isinstance(e, StopRequested) for e in journal.read(folder))
    before = (folder / journal.FILE_NAME).read_bytes()
    assert run(["resume", str(folder), "--quiet"]) == 5
    assert "is used up" in capsys.readouterr().err
    assert (folder / journal.FILE_NAME).read_bytes() == before
    more = ["--extend", "budget.device_hours=none"]
    assert run(["resume", str(folder), *more, "--quiet"]) == 0
    assert verbs.resume(folder).table("runs").num_rows == 3
    ended = verbs.grow(
        settings(budget={"wall_hours": 1e-12}), out=tmp_path / "b", seeds=2
    )
    assert ended.exit_code == 5
    with pytest.raises(BudgetError, match=r"wall_hours 1e-12 is used up"):
        verbs.resume(tmp_path / "b")


def flaky(raw: RawData, cluster: ClusterConfig) -> LocalExecutor:
    """Carry out runs here; the first one fails, as on a machine that was lost."""
    executor = verbs.in_process(raw, cluster)
    assert isinstance(executor, LocalExecutor)

    def carry_out(spec: RunSpec, report: OnProgress) -> RunRecord:
        if spec.trial == 0:
            return failed_record(spec, "the machine was lost", wall_s=2.0)
        return executor._run(spec, report)

    return LocalExecutor(carry_out)


def records(folder: Path) -> list[RunRecord]:
    return [e.record for e in journal.read(folder) if isinstance(e, RunFinished)]


def test_failed_runs_are_done_again_and_the_tables_are_those_without_failure(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "a"
    first = verbs.grow(settings(), out=folder, seeds=2, executor=flaky)
    assert first.exit_code == 6
    assert verbs.resume(folder).was_over
    assert run(["resume", str(folder), "--retry-failed", "--quiet"]) == 0
    whole = verbs.grow(
        settings(), out=tmp_path / "b", seeds=2, executor=verbs.in_process
    )
    result = verbs.resume(folder)
    assert results(result) == results(whole)
    assert [r.state for r in records(folder)].count("failed") == 1
    submitted = [e for e in journal.read(folder) if isinstance(e, RunSubmitted)]
    assert len(submitted) == 3

"""``rerun``: one run of a job again, with real training, compared with its record."""

import functools
import json
import os
from pathlib import Path

import pytest

from senn_ray.cli.main import run
from senn_ray.core.events import RunFinished
from senn_ray.service import jobs, verbs
from senn_ray.store import journal
from tests.service.test_verbs import settings


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rerun") / "a"
    return verbs.grow(settings(), out=out, seeds=2, executor=verbs.in_process).folder


@pytest.fixture(autouse=True)
def _without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "on_ray", verbs.in_process)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_any_run_is_reproduced_bit_for_bit_and_nothing_is_written(
    grown: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(grown)
    for run_id in ("senn-0-000", "senn-0-001"):
        assert run(["rerun", f"{grown}/{run_id}", "--quiet"]) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"✓ {run_id} is reproduced bit for bit: hidden ")
        assert said.count("\n") == 1
    assert contents(grown) == before


def test_a_record_that_was_tampered_with_is_not_reproduced(
    grown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = journal.read(grown)
    record = next(e.record for e in events if isinstance(e, RunFinished))
    text = (grown / journal.FILE_NAME).read_text()
    old, new = f'"val_loss": {record.val_loss}', '"val_loss": 0.125'
    assert old in text
    (tmp_path / journal.FILE_NAME).write_text(text.replace(old, new))
    name = f"{tmp_path}/{record.run_id}"
    assert run(["rerun", name, "--quiet"]) == 6
    said = capsys.readouterr().out
    assert said.startswith(f"✗ {record.run_id} is not reproduced bit for bit: ")
    assert f"val_loss 0.125 → {record.val_loss}" in said
    assert run(["rerun", name, "--json", "--tolerance", "1e-6"]) == 6
    found = json.loads(capsys.readouterr().out)
    assert {d["was"] for d in found["differences"]} == {0.125}


def test_a_run_is_found_in_the_newest_folder_that_has_it(
    grown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (grown / journal.FILE_NAME).read_text()
    for n, name in enumerate(("new", "old", "other")):
        (tmp_path / name).mkdir()
        path = tmp_path / name / journal.FILE_NAME
        path.write_text(text.replace("senn-0", "senn-9") if n == 2 else text)
        os.utime(path, (1e9 - n if n < 2 else 2e9, 1e9 - n if n < 2 else 2e9))
    find = functools.partial(verbs.find_run, root=tmp_path)
    assert find("senn-0-001") == (tmp_path / "new", "senn-0-001")
    assert find("senn-9-001") == (tmp_path / "other", "senn-9-001")
    root = ["--output.root", str(tmp_path), "--quiet"]
    assert run(["rerun", "senn-0-777", *root]) == 2
    assert "give RUN/RUN_ID" in capsys.readouterr().err
    assert run(["rerun", f"{grown}/senn-0-777", *root]) == 2
    assert "senn-0-000, senn-0-001" in capsys.readouterr().err
    assert run(["rerun", f"{grown}/senn-0-000", "--seed", "7"]) == 2
    assert "seed was 0, now 7" in capsys.readouterr().err

"""Run folders of somebody else: nothing outside of them is written, nothing of them runs."""

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from senn_ray.cli.main import run
from senn_ray.core.errors import DataError, UntrustedCodeError
from senn_ray.search.arms import find
from senn_ray.service import jobs, verbs
from senn_ray.store import folder as run_folder
from senn_ray.store import journal, remote
from tests.service.test_verbs import interrupted, settings


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job that was interrupted."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    verbs.grow(settings(), out=folder, seeds=3, executor=interrupted)
    return folder


@pytest.fixture
def folder(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "theirs" / "run"))


def resume(folder: Path) -> object:
    return verbs.resume(folder, executor=verbs.in_process)


def rerun(folder: Path) -> object:
    return verbs.rerun(folder, "senn-0-000", executor=verbs.in_process)


LOOKS: list[Callable[[Path], object]] = [
    resume,
    rerun,
    verbs.report,
    verbs.export,
    lambda folder: verbs.report_several([folder, folder], out=folder.parent / "page"),
]
NAMES = ["resume", "rerun", "report", "export", "report several"]


def edit(folder: Path, change: Callable[[str], str]) -> None:
    path = folder / journal.FILE_NAME
    path.write_text("".join(map(change, path.read_text().splitlines(keepends=True))))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("look", [*LOOKS, verbs.status], ids=[*NAMES, "status"])
@pytest.mark.parametrize("name", ["../../victim", "/victim", "..", "a/b"])
def test_a_run_that_is_called_by_a_path_is_refused_and_nothing_is_touched(
    folder: Path, tmp_path: Path, look: Callable[[Path], object], name: str
) -> None:
    edit(folder, lambda line: line.replace("senn-0-001", name))
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "state-000000001.pt").write_text("precious")
    before = tree(tmp_path)
    with pytest.raises(DataError, match="this is no journal of a job"):
        look(folder)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "link", ["checkpoints", "checkpoints/senn-0-001", "optuna", "report"]
)
@pytest.mark.parametrize(
    "act", [resume, verbs.report, verbs.export], ids=["resume", "report", "export"]
)
def test_a_link_that_leads_out_is_not_followed_by_what_writes(
    folder: Path, tmp_path: Path, act: Callable[[Path], object], link: str
) -> None:
    (tmp_path / "victim").mkdir()
    if (folder / link).exists():
        shutil.rmtree(folder / link)
    (folder / link).symlink_to(tmp_path / "victim")
    before = tree(tmp_path)
    with pytest.raises(DataError, match="leads out of"):
        act(folder)
    assert tree(tmp_path) == before


def test_the_name_of_an_old_protocol_is_no_path(folder: Path, tmp_path: Path) -> None:
    path = folder / "protocol.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"protocol_id": "x/../../../victim"}))
    with pytest.raises(DataError):
        verbs.resume(folder, extend=["compare.seeds=4"], executor=verbs.in_process)
    assert not [*tmp_path.glob("*victim*")]


def test_a_key_of_a_bucket_that_leads_out_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = remote.connect("mock:///bucket")
    monkeypatch.setattr(remote.Far, "names", lambda *_: {"checkpoints/../../victim": 1})
    monkeypatch.setattr(remote.Far, "fetch", lambda *_: pytest.fail("followed"))
    with pytest.raises(DataError):
        remote.fetch(far, tmp_path / "copy")


CODE = """
import pathlib
pathlib.Path({marker!r}).write_text("ran")
from senn_ray.search.arms import find
import dataclasses
ARM = dataclasses.replace(find("random"))
def data(): raise RuntimeError
"""


@pytest.fixture(params=["factory", "arm", "record", "config.yaml"])
def loaded(
    request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder that names code which lies beside it, and a shell that was sent there."""
    (folder.parent / "beside_it.py").write_text(
        CODE.format(marker=str(folder.parent / "ran"))
    )
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr(sys, "path", [*sys.path])
    find.cache_clear()

    def change(line: str) -> str:
        values: dict[str, Any] = json.loads(line)
        data = values["data"]
        if request.param == "factory" and "config" in data:
            data["config"]["data"]["dataset"] = "factory:beside_it:data"
        if request.param == "arm" and "config" in data:
            data["config"]["baseline"]["arms"] = ["beside_it:ARM"]
        if request.param == "record" and "record" in data:
            data["record"]["arm"] = "beside_it:ARM"
        return json.dumps(values) + "\n"

    if request.param == "config.yaml":
        path = folder / "config.yaml"
        path.write_text(path.read_text().replace("digits", "factory:beside_it:data"))
    else:
        edit(folder, change)
    return folder


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
def test_code_that_a_folder_names_runs_only_when_it_is_trusted(
    loaded: Path, look: Callable[[Path], object]
) -> None:
    with pytest.raises(UntrustedCodeError, match=r"beside_it:.*--trust"):
        look(loaded)
    assert not (loaded.parent / "ran").exists()


def test_code_of_a_folder_is_asked_about_at_a_terminal_and_nowhere_else(
    loaded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(jobs, "finish", lambda _: None)
    monkeypatch.setattr(verbs, "summary", lambda _: pytest.fail("was trusted"))
    words = ["report", str(loaded)]
    assert run(words) == 2
    assert "add --trust" in capsys.readouterr().err

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert run(words) == 2
    for given in ([*words, "--trust"], words):
        monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
        with pytest.raises(BaseException, match="was trusted"):
            run(given)


def test_whoever_starts_a_job_has_named_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_mine.py").write_text(
        "import numpy as np\n"
        "def data():\n"
        "    x = np.random.default_rng(0).normal(size=(90, 4)).astype('float32')\n"
        "    y = (x[:, 0] > 0).astype('int64')\n"
        "    return (x[:60], y[:60]), (x[60:], y[60:])\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    config = settings(
        data={"dataset": "factory:of_mine:data", "per_class": 20, "val_per_class": 5}
    )
    out = tmp_path / "mine"
    assert verbs.grow(config, out=out, executor=verbs.in_process).exit_code == 0
    with contextlib.suppress(UntrustedCodeError):
        verbs.report(out)
        pytest.fail("nobody was asked")
    assert verbs.report(out, trust=True)
    assert run_folder.recorded_plan(out).config.data.dataset == "factory:of_mine:data"

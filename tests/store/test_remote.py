"""Run folders behind URIs: pyarrow's mock, and a subtree that cannot append."""

import errno
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from senn_ray.analysis.results import to_json
from senn_ray.cli.main import run
from senn_ray.core.errors import ConfigError, ResourceError
from senn_ray.core.events import RunFinished, RunProgressed, RunSubmitted
from senn_ray.service import jobs, verbs
from senn_ray.store import journal, locations, lock, remote
from senn_ray.store.remote import Far, Mirror, fetch, read_journal
from tests.service.test_resume import results
from tests.service.test_verbs import interrupted, settings

URI = "far://bucket/runs/first"


@pytest.fixture(params=["mock", "subtree"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> fs.FileSystem:
    if request.param == "mock":
        return fs.FileSystem.from_uri("mock:///bucket")[0]
    (tmp_path / "disk").mkdir()
    return fs.SubTreeFileSystem(str(tmp_path / "disk"), fs.LocalFileSystem())


@pytest.fixture
def far(files: fs.FileSystem) -> Far:
    return Far(uri=URI, files=files, root="bucket/runs/first")


@pytest.fixture
def here(far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let all verbs find the far folder; jobs work without Ray, in a folder of ours."""

    def connect(uri: str) -> Far:
        return Far(uri=uri, files=far.files, root=uri.partition("://")[2])

    monkeypatch.setattr(remote, "connect", connect)
    monkeypatch.setattr(jobs, "on_ray", verbs.in_process)
    monkeypatch.setenv(locations.WORK_ENV, str(tmp_path / "work"))
    yield tmp_path
    assert not (tmp_path / URI.partition(":")[0]).exists()


def grow(**more: Any) -> verbs.JobResult[Any]:
    return verbs.grow(settings(), **({"out": URI, "executor": verbs.in_process} | more))


@pytest.mark.parametrize("files", ["subtree"], indirect=True)
def test_all_verbs_work_on_a_far_folder_as_on_a_local_one(
    here: Path, far: Far, capsys: pytest.CaptureFixture[str]
) -> None:
    local = verbs.grow(settings(), out=here / "local", executor=verbs.in_process)
    result = grow()
    assert result.location == URI
    assert results(result) == results(local)
    names = set(far.names())
    assert {
        "journal.jsonl", "summary.json", "config.yaml", "protocol.json",
        "tables/runs.parquet", "report/index.html", "manifest.json",
        "checkpoints/senn-0-000/final.pt",
    } <= names  # fmt: skip
    assert not {n for n in names if n.startswith(("journal/", "writer", ".", "stop"))}
    assert far.read("journal.jsonl") == (result.folder / "journal.jsonl").read_bytes()
    # Nobody needs the working copy any more.
    shutil.rmtree(locations.work_folder(URI))
    capsys.readouterr()
    assert run(["status", URI, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "complete"
    assert run(["watch", URI, "--quiet"]) == 0
    assert run(["stop", URI]) == 0
    assert "nothing to stop" in capsys.readouterr().out
    assert run(["rerun", f"{URI}/senn-0-000", "--quiet"]) == 0
    assert "is reproduced bit for bit" in capsys.readouterr().out
    assert run(["export", URI, "--json"]) == 0
    exported = json.loads(capsys.readouterr().out)
    assert exported == {"model": f"{URI}/model"}
    assert far.read("model/model.pt2")
    far.delete("summary.json")
    far.delete("tables/runs.parquet")
    assert run(["report", URI, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == to_json(result.summary)
    assert far.read("tables/runs.parquet")
    assert verbs.resume(URI).was_over
    assert run(["grow", "--out", URI]) == 2
    assert f"--out {URI} is not empty" in capsys.readouterr().err


@pytest.mark.parametrize("files", ["mock"], indirect=True)
def test_every_event_is_in_a_closed_segment_before_it_is_acted_on(
    here: Path, far: Far
) -> None:
    seen = []

    def observe(event: Any) -> None:
        if isinstance(event, RunSubmitted | RunFinished):
            lines = read_journal(far).splitlines()
            seen.append(json.loads(lines[-1])["event"] == type(event).__name__)
            assert not far.read("journal.jsonl")

    grow(observe=observe, seeds=2)
    assert len(seen) == 4
    assert all(seen)
    assert here.is_dir()


@pytest.mark.parametrize("files", ["mock"], indirect=True)
def test_an_interrupted_job_goes_on_elsewhere_from_the_far_folder_alone(
    here: Path, far: Far
) -> None:
    grow(executor=interrupted, seeds=3)
    assert far.read("journal.jsonl")
    shutil.rmtree(locations.work_folder(URI))
    result = verbs.resume(URI)
    whole = verbs.grow(
        settings(), out=here / "whole", seeds=3, executor=verbs.in_process
    )
    assert results(result) == results(whole)
    assert len(journal.read(result.folder)) == read_journal(far).count(b"\n")


@pytest.mark.parametrize("files", ["subtree"], indirect=True)
def test_a_driver_that_died_leaves_segments_that_are_read(here: Path, far: Far) -> None:
    result = grow()
    text = far.read("journal.jsonl") or b""
    lines = text.splitlines(keepends=True)
    far.write("journal.jsonl", b"".join(lines[:2]))
    for number, line in enumerate(lines[:4]):
        far.write(f"journal/{number:09d}.jsonl", line)
    assert read_journal(far) == b"".join(lines[:4])
    assert verbs.status(URI).state == "stopped"
    again = verbs.resume(URI)
    assert results(again) == results(result)
    assert here.is_dir()


def test_many_segments_become_one_file(
    far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "COMPACT_AT", 3)
    mirror = Mirror(far, tmp_path / "a", {})
    lines = [f"{n}\n".encode() for n in range(8)]
    for n, line in enumerate(lines):
        mirror.record(line)
        assert read_journal(far) == b"".join(lines[: n + 1])
        assert len(far.names("journal")) < 3
    again = Mirror(far, tmp_path / "a", {})
    again.record(b"8\n")
    assert read_journal(far).splitlines() == [str(n).encode() for n in range(9)]


def test_what_changes_here_changes_there(far: Far, tmp_path: Path) -> None:
    far.write("kept/far.txt", b"far")
    far.write("checkpoints/a", b"1")
    here = tmp_path / "here"
    known = fetch(far, here, ("checkpoints/",))
    mirror = Mirror(far, here, known)
    (here / "b.txt").write_text("b")
    (here / ".b.txt.1-2.partial").write_text("half")
    (here / "writer.lock").write_text("mine")
    mirror.sync()
    assert far.names() == {"kept/far.txt": 3, "checkpoints/a": 1, "b.txt": 1}
    (here / "b.txt").write_text("other")
    mirror.sync()
    assert far.names() == {"kept/far.txt": 3, "checkpoints/a": 1, "b.txt": 5}
    assert far.read("missing") is None
    far.delete("missing")


def test_a_working_copy_that_is_wiped_takes_nothing_from_the_far_folder(
    far: Far, tmp_path: Path
) -> None:
    here, run = tmp_path / "here", Path("checkpoints/senn-0-000")
    mirror = Mirror(far, here, {})
    (here / run).mkdir(parents=True)
    names = ["config.yaml", "protocol.json", "optuna/a.log", str(run / "final.pt")]
    names += [str(run.with_name("senn-0-001") / f"state-{n:09d}.pt") for n in (1, 2)]
    for name in names:
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(name)
    mirror.sync()
    assert set(far.names()) == set(names)
    shutil.rmtree(here)
    mirror.sync()
    assert set(far.names()) == set(names)
    here.mkdir()
    (here / "summary.json").write_text("{}")
    mirror.sync()
    assert set(far.names()) == {*names, "summary.json"}


def test_states_of_a_run_go_when_what_outdates_them_is_kept(
    far: Far, tmp_path: Path
) -> None:
    here = tmp_path / "here" / "checkpoints" / "senn-0-000"
    here.mkdir(parents=True)
    mirror = Mirror(far, tmp_path / "here", {})
    states = [here / f"state-{n:09d}.pt" for n in (9, 10, 11)]
    for state in states[:2]:
        state.write_text("1")
    mirror.sync()
    states[2].write_text("1")
    states[0].unlink()
    mirror.sync()
    kept = [f"checkpoints/senn-0-000/{state.name}" for state in states[1:]]
    assert sorted(far.names()) == kept
    for state in states[1:]:
        state.unlink()
    mirror.sync()
    assert sorted(far.names()) == kept
    (here / "final.pt").write_text("1")
    mirror.sync()
    assert [*far.names()] == ["checkpoints/senn-0-000/final.pt"]


@pytest.mark.parametrize("files", ["subtree"], indirect=True)
def test_a_far_folder_has_one_writer_who_can_be_told_to_stop(
    here: Path, far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "SYNC_S", 0.01)
    grow(executor=interrupted, seeds=50)
    far.write("stop.json", b'{"now": true}')  # from before the job goes on
    told, stopped = list[str](), threading.Event()

    def observe(event: Any) -> None:
        if isinstance(event, RunProgressed) and not told:
            with pytest.raises(ConfigError) as busy, locations.holding(URI):
                pass
            told.append(str(busy.value))
            asked = verbs.stop(URI)
            assert asked.asked
            assert asked.state == "running"
            while not (locations.work_folder(URI) / "stop.json").exists():
                stopped.wait(0.01)

    result = verbs.resume(URI, observe=observe)
    assert f"{URI} is being written by pid" in told[0]
    assert result.exit_code == 130
    assert result.summary.state == "stopped"
    assert here.is_dir()
    assert far.read(lock.FILE_NAME) is None


def test_a_file_uri_is_a_local_folder(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/with%20space"
    result = verbs.grow(settings(), out=uri, executor=verbs.in_process)
    assert result.folder == result.location == tmp_path / "with space"
    assert verbs.status(uri).state == "complete"
    assert locations.locate("runs") == Path("runs").absolute()


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("nowhere://x/y", "Unrecognized filesystem"),
        ("s3://bucket/a?nonsense=1", "give a folder, or a URI such as s3://BUCKET"),
    ],
)
def test_an_unknown_file_system_is_one_line(
    capsys: pytest.CaptureFixture[str], uri: str, says: str
) -> None:
    assert run(["status", uri]) == 2
    printed = capsys.readouterr().err
    assert says in printed
    assert printed.count("\n") == 1


class Failing(fs.FileSystemHandler):
    """A file system that cannot be reached any more."""

    def _fail(self, *args: Any, **kwargs: Any) -> Any:
        del args, kwargs
        raise OSError("the network is down")

    copy_file = create_dir = delete_dir = delete_dir_contents = delete_file = _fail
    delete_root_dir_contents = get_file_info = get_file_info_selector = move = _fail
    open_append_stream = open_input_file = open_input_stream = _fail
    open_output_stream = _fail

    def get_type_name(self) -> str:
        return "failing"

    def normalize_path(self, path: str) -> str:
        return path


@pytest.mark.parametrize(
    "act",
    [
        lambda far: far.read("a"),
        lambda far: far.write("a", b""),
        lambda far: far.send(Path(__file__), "a"),
        lambda far: far.fetch("a", Path(tempfile.gettempdir(), "senn-ray-never")),
        lambda far: far.delete("a"),
        lambda far: far.names(),
    ],
    ids=["read", "write", "send", "fetch", "delete", "list"],
)
def test_a_network_that_is_down_says_what_to_do(act: Callable[[Far], Any]) -> None:
    far = Far(uri=URI, files=fs.PyFileSystem(Failing()), root="bucket")
    with pytest.raises(ResourceError, match=r"cannot reach far://bucket.*then resume"):
        act(far)


def test_a_full_disk_here_is_not_told_as_an_address_that_is_wrong(
    far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        del args
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fs, "copy_files", full)
    with pytest.raises(OSError, match="space"):
        far.fetch("a", tmp_path / "a")


def test_a_late_segment_of_a_replaced_writer_hides_none_of_the_next_one(
    far: Far, tmp_path: Path
) -> None:
    first = Mirror(far, tmp_path / "a", {}, epoch=1)
    first.record(b"0\n")
    second = Mirror(far, tmp_path / "b", {}, epoch=2)
    for line in (b"1\n", b"2\n"):
        second.record(line)
    first.record(b"late\n")
    second.record(b"3\n")
    assert read_journal(far) == b"0\n1\n2\n3\n"
    second.compact()
    second.record(b"4\n")
    assert read_journal(far) == b"0\n1\n2\n3\n4\n"


def test_a_replaced_writer_joins_no_segments(far: Far, tmp_path: Path) -> None:
    def lost() -> None:
        raise ConfigError("taken over")

    Mirror(far, tmp_path / "b", {}, epoch=2).record(b"0\n")
    with pytest.raises(ConfigError):
        Mirror(far, tmp_path / "a", {}, epoch=1, check=lost).compact()
    assert [*far.names()] == ["journal/000000000.2.jsonl"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("files", ["subtree"], indirect=True)
def test_a_size_is_picked_from_a_far_folder_and_sent_there_or_elsewhere(
    far: Far, capsys: pytest.CaptureFixture[str]
) -> None:
    grow()
    found = verbs.pick(URI)
    assert found.model == f"{URI}/model"
    files = {
        "MODEL_CARD.md", "architecture.json", "inputs.json", "model.pt2", "weights.pt",
    }  # fmt: skip
    assert {name.partition("/")[2] for name in far.names("model")} == files
    other = f"{URI}-model"
    assert run(["pick", URI, "--best", "--out", other]) == 0
    assert f"model {other}" in capsys.readouterr().out
    assert set(remote.connect(other).names()) == files
    assert run(["export", f"{URI}/senn-0-000"]) == 2
    assert f"senn-ray export {URI} --pick senn-0-000" in capsys.readouterr().err

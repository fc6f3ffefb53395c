"""A network of the front is chosen, exported, and is the one of its checkpoint."""

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from senn_ray.analysis.job import gather
from senn_ray.analysis.results import GrowSummary, PickResult
from senn_ray.cli.main import run
from senn_ray.core.errors import ConfigError, DataError
from senn_ray.core.events import Event, RunProgressed
from senn_ray.core.records import RunRecord
from senn_ray.data import datasets
from senn_ray.data.splits import test_examples as examples_of
from senn_ray.service import verbs
from senn_ray.store import journal
from senn_ray.training import checkpoints
from tests.service.test_verbs import settings

WALK: dict[str, Any] = {
    "model": {"hidden": (8,), "max_hidden": 8},
    "train": {"max_steps": 80, "min_steps": 80, "evaluations": 4},
    "front": {"sizes": (300, 160), "rung_steps": 15},
}
"""Three networks: of 8 units, and what keeps to 300 and 160 parameters."""


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> verbs.JobResult[GrowSummary]:
    out = tmp_path_factory.mktemp("picking") / "grow"
    return verbs.grow(settings(**WALK), out=out, executor=verbs.in_process)


@pytest.fixture
def unwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write no files: that takes a second, and says nothing about the choice."""
    module = importlib.import_module("senn_ray.export.export")
    monkeypatch.setattr(module, "export", lambda *_, **__: None)


def record_of(folder: Path) -> RunRecord:
    (record,) = gather(journal.read(folder)).records
    return record


def checkpoint(folder: Path, found: PickResult) -> Path:
    name = f"rungs/{found.place + 1:02d}.pt"
    return folder / "checkpoints" / found.run_id / name


@torch.no_grad()
def test_every_size_is_exported_with_the_outputs_of_its_checkpoint(
    grown: verbs.JobResult[GrowSummary], tmp_path: Path
) -> None:
    raw = datasets.load(settings().data)
    part = examples_of(raw)
    front = record_of(grown.folder).front
    assert len(front) == 3
    for place, rung in enumerate(front):
        out = tmp_path / str(place)
        found = verbs.pick(grown.folder, max_params=rung.params, out=out)
        assert found.place == place
        net = checkpoints.load_network(checkpoint(grown.folder, found))
        x, _ = part.to("cpu", torch.float32).batch(torch.arange(50))
        program = torch.export.load(out / "model.pt2").module()
        raw_x = torch.from_numpy(raw.test_x[:50]).float().flatten(1)
        assert torch.allclose(program(raw_x), net(x), atol=1e-4)
        card = (out / "MODEL_CARD.md").read_text()
        assert f"rung {place + 1} of 3" in card
        assert f"chosen by: at most {rung.params} parameters" in card
        assert f"| parameters | {rung.params} |" in card


def test_the_found_size_is_taken_without_flags_and_is_the_final_network(
    grown: verbs.JobResult[GrowSummary], tmp_path: Path
) -> None:
    record = record_of(grown.folder)
    found = verbs.pick(grown.folder, out=tmp_path / "a")
    assert found.place == record.found
    assert found.rule == "the found size, by one_se"
    assert found.test_loss == pytest.approx(record.test_loss)
    again = Path(verbs.export(grown.folder, one_se=True, out=tmp_path / "b"))
    for name, tensor in torch.load(tmp_path / "a" / "weights.pt").items():
        assert torch.equal(tensor, torch.load(again / "weights.pt")[name])


@pytest.mark.usefixtures("unwritten")
def test_the_choice_is_shown_with_its_neighbours_and_as_json(
    grown: verbs.JobResult[GrowSummary], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pick", str(grown.folder), "--best"]
    assert run(words) == 0
    shown = capsys.readouterr().out
    assert "senn-0-000 (seed 0): size " in shown
    assert "chosen by: best" in shown
    assert sum(line.startswith("→") for line in shown.splitlines()) == 1
    assert f"model {grown.folder}/model" in shown
    assert run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rung"] == told["front"][told["place"]]
    assert told["found"]["best"] == told["place"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--max-params", "5"], 2, "the networks of senn-0-000 have "),
        (["--best", "--one-se"], 2, "--best and --one-se contradict each other"),
        (["--run", "senn-0-007"], 2, "--run senn-0-007 is not a finished run"),
        (["--out", "OLD"], 2, "is not empty"),
    ],
)
def test_a_choice_that_cannot_be_made_is_one_line(
    grown: verbs.JobResult[GrowSummary],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    says: str,
) -> None:
    words = [word.replace("OLD", str(grown.folder)) for word in words]
    assert run(["pick", str(grown.folder), *words]) == code
    printed = capsys.readouterr().err
    assert says in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize(("verb", "flag"), [("export", "--pick"), ("pick", "--run")])
def test_a_run_named_like_that_of_rerun_is_told_the_flag(
    grown: verbs.JobResult[GrowSummary],
    capsys: pytest.CaptureFixture[str],
    verb: str,
    flag: str,
) -> None:
    assert run([verb, f"{grown.folder}/senn-0-000"]) == 2
    said = capsys.readouterr().err
    assert f"senn-ray {verb} {grown.folder} {flag} senn-0-000" in said


@pytest.mark.usefixtures("unwritten")
@pytest.mark.parametrize("lost", ["left out", "deleted"])
def test_a_network_that_is_not_on_disk_is_told_and_the_found_one_is_there(
    grown: verbs.JobResult[GrowSummary], tmp_path: Path, lost: str
) -> None:
    folder = tmp_path / "a"
    shutil.copytree(grown.folder, folder)
    shutil.rmtree(folder / "checkpoints/senn-0-000/rungs")
    if lost == "left out":
        change(folder, lambda record: [r.pop("checkpoint") for r in record["front"]])
    record = record_of(folder)
    verbs.pick(folder)
    other = next(n for n in range(3) if n != record.found)
    says = {
        "left out": r"front\.checkpoint_mb; .* alone is kept",
        "deleted": f"0{other + 1}.pt is gone; restore it",
    }
    with pytest.raises(DataError, match=says[lost]):
        verbs.pick(folder, max_params=record.front[other].params)


def change(folder: Path, how: Callable[[dict[str, Any]], object]) -> None:
    """Change the records in a journal."""
    lines = []
    for line in (folder / journal.FILE_NAME).read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "RunFinished":
            how(event["data"]["record"])
        lines.append(json.dumps(event) + "\n")
    (folder / journal.FILE_NAME).write_text("".join(lines))


def test_a_run_without_room_keeps_the_found_network_alone(tmp_path: Path) -> None:
    walk = {**WALK, "front": {**WALK["front"], "checkpoint_mb": 0.0}}
    verbs.grow(settings(**walk), out=tmp_path, executor=verbs.in_process)
    assert [path.name for path in tmp_path.glob("checkpoints/**/*.pt")] == ["final.pt"]
    assert all(rung.checkpoint is None for rung in record_of(tmp_path).front)


def test_a_job_without_networks_and_one_of_before_fronts_are_told_apart(
    grown: verbs.JobResult[GrowSummary], tmp_path: Path
) -> None:
    bare, old = tmp_path / "bare", tmp_path / "old"
    shutil.copytree(grown.folder, bare)
    shutil.rmtree(bare / "checkpoints")
    with pytest.raises(DataError, match="has kept its network"):
        verbs.pick(bare)
    shutil.copytree(grown.folder, old)
    change(old, lambda record: record.update(front=[], found=None))
    with pytest.raises(DataError, match="no front of sizes"):
        verbs.pick(old)
    with pytest.raises(DataError, match="no front of sizes"):
        verbs.export(old, best=True)
    assert (Path(verbs.export(old)) / "model.pt2").is_file()  # what it has


def test_status_counts_the_sizes_that_runs_in_flight_have_kept(tmp_path: Path) -> None:
    seen = []

    def observe(event: Event) -> None:
        if isinstance(event, RunProgressed) and event.progress.rungs == 2 and not seen:
            seen.append(verbs.status(tmp_path).sizes)

    verbs.grow(
        settings(**WALK), out=tmp_path, observe=observe, executor=verbs.in_process
    )
    (kept,) = seen
    assert kept["senn-0-000"] in {1, 2, 3}  # The run has gone on meanwhile.
    assert verbs.status(tmp_path).sizes == {}


def test_contradictions_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="contradict"):
        verbs.pick(tmp_path, best=True, max_params=3)

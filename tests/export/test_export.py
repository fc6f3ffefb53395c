"""An exported network works where senn-ray is not installed."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from senn_ray.analysis.job import gather
from senn_ray.analysis.results import GrowSummary, RunSummary
from senn_ray.cli.main import run
from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data import datasets
from senn_ray.data.examples import RawData
from senn_ray.export.export import export
from senn_ray.service import verbs
from senn_ray.store import journal
from senn_ray.training import checkpoints
from tests.export.cards import blocks, measure_blocks
from tests.service.test_verbs import settings


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> verbs.JobResult[GrowSummary]:
    out = tmp_path_factory.mktemp("export") / "grow"
    return verbs.grow(settings(), out=out, seeds=3, executor=verbs.in_process)


@pytest.fixture(scope="module")
def model(grown: verbs.JobResult[GrowSummary]) -> Path:
    return Path(verbs.export(grown.folder))


def picked(model: Path, grown: verbs.JobResult[GrowSummary]) -> RunSummary:
    found = re.search(r"\| run \| ([\w-]+),", (model / "MODEL_CARD.md").read_text())
    assert found
    (record,) = [r for r in grown.summary.runs if r.run_id == found[1]]
    return record


def test_the_run_of_median_validation_loss_is_taken(
    model: Path, grown: verbs.JobResult[GrowSummary]
) -> None:
    assert picked(model, grown).val_loss == grown.summary.val_loss


def test_the_card_tells_how_to_load_it_without_senn_ray(
    model: Path, grown: verbs.JobResult[GrowSummary]
) -> None:
    for code in blocks(model):
        assert len([line for line in code.splitlines() if line.strip()]) <= 11
    record = picked(model, grown)
    measured = measure_blocks(model, datasets.load(settings().data))
    assert len(measured) == 2
    for loss, accuracy in measured:
        assert loss == pytest.approx(record.test_loss, rel=1e-5)
        assert accuracy == pytest.approx(record.test_accuracy, abs=1e-6)


def test_the_architecture_fits_the_weights(model: Path) -> None:
    spec = json.loads((model / "architecture.json").read_text())
    state = torch.load(model / "weights.pt", weights_only=True)
    count = sum(v.numel() for k, v in state.items() if k.startswith("layers."))
    assert count == spec["parameters"]
    assert state["layers.0.weight"].shape == (spec["hidden"][0], spec["num_inputs"])


def test_a_run_can_be_picked_and_replaces_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a"
    grown = verbs.grow(settings(), out=folder, seeds=2, executor=verbs.in_process)
    for name in ("senn-0-001", "senn-0-000"):
        assert run(["export", str(folder), "--pick", name, "--json"]) == 0
        model = Path(json.loads(capsys.readouterr().out)["model"])
        assert picked(model, grown).run_id == name
    assert {path.name for path in model.iterdir()} == {
        "MODEL_CARD.md", "architecture.json", "inputs.json", "model.pt2", "weights.pt",
    }  # fmt: skip
    assert not (folder / "model.new").exists()


def test_a_network_that_is_not_the_recorded_one_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    verbs.grow(settings(), out=folder, seeds=2, executor=verbs.in_process)
    one, two = sorted(folder.glob("checkpoints/*/final.pt"))
    one.write_bytes(two.read_bytes())
    assert run(["export", str(folder), "--pick", "senn-0-000"]) == 4
    assert not (folder / "model").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--pick", "random-0-001"], 2, "these are: senn-0-000"),
        ([], 4, "no finished run of this job has kept its network"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    tmp_path: Path,
    grown: verbs.JobResult[GrowSummary],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    says: str,
) -> None:
    folder = grown.folder
    if not words:
        folder = tmp_path
        text = (grown.folder / journal.FILE_NAME).read_text()
        (folder / journal.FILE_NAME).write_text(text)
    assert run(["export", str(folder), *words]) == code
    printed = capsys.readouterr().err
    assert says in printed
    assert printed.count("\n") == 1
    assert run(["export", str(tmp_path / "nowhere")]) == 4
    assert "no journal here" in capsys.readouterr().err


def test_without_the_data_the_same_model_is_exported_and_the_card_says_so(
    grown: verbs.JobResult[GrowSummary],
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(_config: DataConfig) -> RawData:
        raise DataError("the disk with the data is gone")

    other = tmp_path / "run"
    shutil.copytree(grown.folder, other)
    monkeypatch.setattr(datasets, "load", gone)
    alone = Path(verbs.export(other))
    weights = [torch.load(p / "weights.pt", weights_only=True) for p in (alone, model)]
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name
    assert json.loads((alone / "architecture.json").read_text()) == json.loads(
        (model / "architecture.json").read_text()
    )
    assert "not measured again" in (alone / "MODEL_CARD.md").read_text()
    assert "agree with the run" in (model / "MODEL_CARD.md").read_text()


def test_an_old_checkpoint_needs_the_data(
    grown: verbs.JobResult[GrowSummary], tmp_path: Path
) -> None:
    record = gather(journal.read(grown.folder)).records[0]
    network = checkpoints.load_network(
        grown.folder / "checkpoints" / record.run_id / "final.pt"
    )
    checkpoints.save_network(network, tmp_path / "old.pt")
    with pytest.raises(DataError, match="only with the data set digits within reach"):
        export(record, tmp_path / "old.pt", None, tmp_path / "model")
    assert not (tmp_path / "model").exists()

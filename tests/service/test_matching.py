"""The verb match on studies that Optuna made, alone."""

import csv
import json
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from senn_ray.cli.main import run
from senn_ray.service import verbs


def objective(trial: optuna.Trial) -> float:
    return (trial.suggest_float("x", -5, 5) - 1) ** 2


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three random studies of ten trials, one of them with a trial still open."""
    path = tmp_path_factory.mktemp("optuna") / "own.log"
    storage = JournalStorage(JournalFileBackend(str(path)))
    studies = [
        optuna.create_study(
            storage=storage,
            study_name=f"mine-{seed}",
            sampler=optuna.samplers.RandomSampler(seed=seed),
        )
        for seed in range(3)
    ]
    for study in studies:
        study.optimize(objective, n_trials=10)
    studies[-1].ask()
    return path


def test_a_study_is_read_as_optuna_has_it_and_left_as_it_is(journal: Path) -> None:
    before = journal.read_bytes()
    found = verbs.match(str(journal), 1.0, independent=True)
    storage = JournalStorage(JournalFileBackend(str(journal)))
    values = [
        trial.value
        for name in ("mine-0", "mine-1", "mine-2")
        for trial in optuna.load_study(study_name=name, storage=storage).trials
        if trial.value is not None
    ]
    assert found.trials == len(values) == 30
    assert found.hits == sum(value <= 1.0 for value in values)
    assert found.curve[-1].val_loss == pytest.approx(min(values))
    assert [study.open for study in found.studies] == [0, 0, 1]
    assert journal.read_bytes() == before
    assert [path.name for path in journal.parent.iterdir()] == [journal.name]


def test_a_database_is_read_too(journal: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/own.db"
    optuna.copy_study(
        from_study_name="mine-1",
        from_storage=JournalStorage(JournalFileBackend(str(journal))),
        to_storage=url,
    )
    theirs = verbs.match(url, 1.0)
    ours = verbs.match(str(journal), 1.0, name="mine-1")
    assert theirs.studies == ours.studies
    assert theirs.curve == ours.curve


def test_the_verb_prints_intervals_and_writes_figure_and_data(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "match"
    words = ["match", "--study", str(journal), "--target", "1.0", "--independent"]
    assert run([*words, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    for word in (
        "mine-2",
        "runs to it",
        "95 % interval of the median",
        "best-of-k.svg",
    ):
        assert word in text
    assert {path.name for path in out.iterdir()} == {
        "match.json", "best-of-k.csv", "best-of-k.svg", "best-of-k.png",
    }  # fmt: skip
    with (out / "best-of-k.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = json.loads((out / "match.json").read_text())
    assert len(rows) == found["trials"] == 30
    assert float(rows[0]["median"]) == found["curve"][0]["median"]
    assert "var(" not in (out / "best-of-k.svg").read_text()
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--study", "NOWHERE.log"], 4, "NOWHERE.log: no such file"),
        (["--study", "sqlite:///NOWHERE.db"], 4, "NOWHERE.db: no such file"),
        (["--study", "TEXT"], 4, "holds no study that Optuna can read"),
        (["--study", "LINES"], 4, "Optuna cannot read it"),
        (["--study", "OWN", "--name", "other"], 2, "its studies are: mine-0, mine-1"),
        (["--study", "OWN", "--objective", "-1"], 2, "--objective -1"),
    ],
    ids=[
        "missing",
        "no-database",
        "no-journal",
        "other-lines",
        "no-study",
        "no-objective",
    ],
)
def test_what_cannot_be_read_is_one_line(
    journal: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    message: str,
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("not a journal\n")
    lines = tmp_path / "lines.txt"
    lines.write_text("not a journal\n" * 3)
    named = {"OWN": str(journal), "TEXT": str(text), "LINES": str(lines)}
    args = [named.get(word, word) for word in words]
    assert run(["match", "--target", "1.0", *args]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("target", ["nan", "inf", "-inf"])
def test_a_target_that_is_no_number_is_one_clear_line(
    journal: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    assert run(["match", "--study", str(journal), f"--target={target}"]) == 2
    printed = capsys.readouterr()
    assert f"--target {target}: every run reaches it, or none" in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out

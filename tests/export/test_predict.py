"""From a CSV file to predictions in its own words, without a line of code."""

import csv
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from senn_ray.cli.main import run
from senn_ray.config import Config
from senn_ray.core.errors import DataError
from senn_ray.data.standardisation import from_dict, to_dict
from senn_ray.service import verbs
from senn_ray.training import checkpoints
from tests.export.cards import blocks

FAST = {"train": {"max_steps": 300, "min_steps": 100}}


def customers(path: Path, rows: range) -> list[str]:
    """Write a table with words, gaps, dates and truths; return the right answers."""
    answers = []
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["age", "city", "since", "member", "churn"])
        for number in rows:
            draw = random.Random(number)
            age, city = draw.randint(18, 90), draw.choice(["Oslo", "Lima", "Pune"])
            churn = "yes" if age > 50 else "no"
            known = "" if draw.random() < 0.05 else age
            since = f"20{draw.randint(10, 24)}-03-{draw.randint(10, 28)}"
            writer.writerow([known, city, since, draw.random() < 0.5, churn])
            answers.append(churn)
    return answers


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("customers")
    customers(folder / "all.csv", range(600))
    data = {
        "dataset": f"csv:{folder}/all.csv",
        "label": ["churn"],
        "numeric": "quantile",
    }
    config = Config.model_validate({"data": data, **FAST})
    verbs.grow(config, out=folder / "run", executor=verbs.in_process)
    assert run(["export", str(folder / "run")]) == 0
    return folder


def test_new_rows_get_class_names_and_probabilities(
    grown: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = customers(grown / "new.csv", range(1000, 1100))
    words = ["predict", str(grown / "run"), "--data", f"csv:{grown}/new.csv"]
    capsys.readouterr()
    assert run(words) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert list(rows[0]) == ["prediction", "probability_no", "probability_yes"]
    right = [row["prediction"] == a for row, a in zip(rows, answers, strict=True)]
    assert np.mean(right) > 0.85
    chances = [float(r["probability_no"]) + float(r["probability_yes"]) for r in rows]
    assert np.allclose(chances, 1)
    assert run([*words, "--out", str(grown / "out.parquet")]) == 0
    table = pq.read_table(grown / "out.parquet")
    assert table["prediction"].to_pylist() == [row["prediction"] for row in rows]


def test_the_script_of_the_card_says_the_same_without_senn_ray(grown: Path) -> None:
    customers(grown / "more.csv", range(2000, 2040))
    ours = verbs.predict(grown / "run" / "model", f"csv:{grown}/more.csv")
    (code,) = [c for c in blocks(grown / "run" / "model") if "csv.DictReader" in c]
    scope: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in sys.modules if name.startswith("senn_ray")]:
            patch.setitem(sys.modules, name, None)
        patch.chdir(grown / "run" / "model")
        exec(code, scope)
        theirs = scope["predict"](grown / "more.csv")
    assert [label for label, _ in theirs] == ours["prediction"].to_pylist()
    np.testing.assert_allclose(
        [chances[1] for _, chances in theirs], ours["probability_yes"], atol=1e-5
    )


def test_the_report_says_what_was_made_of_the_data(grown: Path) -> None:
    protocol = json.loads((grown / "run" / "protocol.json").read_text())
    assert protocol["data"]["labels"]["classes"] == ["no", "yes"]
    page = (grown / "run" / "report" / "index.html").read_text()
    assert "labels (churn): 2 classes no, yes" in page
    assert "120 of 600 examples are kept for it" in page


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("age,city,since", "30,Oslo,2020-01-01", "are missing: member; there are age"),
        ("age,city,since,member", "old,Oslo,2020-01-01,true", "column age was numbers"),
        ("age,city,since,member", "30,Oslo,once,true", "column since was times"),
    ],
)
def test_rows_that_do_not_fit_are_refused(
    grown: Path, header: str, row: str, message: str
) -> None:
    (grown / "odd.csv").write_text(f"{header}\n{row}\n")
    with pytest.raises(DataError, match=message):
        verbs.predict(grown / "run", f"csv:{grown}/odd.csv")


def test_levels_that_were_never_seen_are_named(
    grown: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (grown / "far.csv").write_text("age,city,since,member\n,Rome,2020-01-01,true\n")
    assert run(["predict", str(grown / "run"), "--data", f"csv:{grown}/far.csv"]) == 0
    assert "1 rows have unseen levels of city: Rome" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nowhere", "--data", "csv:new.csv"], 4, "no journal here"),
        (["run", "--data", "new.csv"], 2, "rows to predict are csv:FILE"),
        (["run", "--data", "csv:absent.csv"], 4, "no such file"),
    ],
)
def test_what_cannot_be_predicted_is_one_line(
    grown: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    says: str,
) -> None:
    customers(grown / "new.csv", range(1000, 1010))
    monkeypatch.chdir(grown)
    assert run(["predict", *words]) == code
    assert says in capsys.readouterr().err


def test_a_checkpoint_keeps_columns_and_labels(grown: Path) -> None:
    (path,) = grown.glob("run/checkpoints/*/final.pt")
    inputs = checkpoints.load_inputs(path)
    assert inputs is not None
    assert inputs.labels is not None
    assert inputs.labels.classes == ("no", "yes")
    again = from_dict(to_dict(inputs))
    assert again is not None
    assert again.columns == inputs.columns
    assert torch.equal(again.shift, inputs.shift)

import json
from pathlib import Path

import pytest
import yaml

from senn_ray.cli.begin import PRESETS, Preset, commented
from senn_ray.cli.main import run
from senn_ray.cli.settings import known_keys
from senn_ray.config import Config


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_a_valid_file_and_sets_what_it_says(
    preset: Preset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new"
    assert run(["init", str(folder), "--preset", preset, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == str(folder / "senn.yaml")
    assert told["command"].endswith(f"-c {folder / 'senn.yaml'}")
    assert run(["config", "show", "-c", told["file"], "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    for key, value in PRESETS[preset].items():
        section, _, name = key.partition(".")
        assert shown[section].pop(name) == value
    rest = Config().model_dump(mode="json")
    assert all(value == rest[s][n] for s, part in shown.items() if s != "seed"
               for n, value in part.items())  # fmt: skip


def test_every_setting_is_there_with_its_default_and_its_meaning() -> None:
    lines = commented({})
    bare = "\n".join(line.replace("# ", "", 1) for line in lines if ": " in line)
    for key in known_keys():
        name = key.rpartition(".")[2]
        assert f"{name}: " in bare
    uncommented = [
        line.replace("# ", "", 1) if line.strip().startswith(f"# {name}: ") else line
        for line in lines
        for name in [line.strip().removeprefix("# ").partition(":")[0]]
        if name in {key.rpartition(".")[2] for key in known_keys()}
        or not line.strip().startswith("#")
    ]
    values = yaml.safe_load("\n".join(uncommented))
    assert Config.model_validate(values) == Config()


def test_a_file_that_is_there_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "senn.yaml").write_text("mine")
    assert run(["init", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "senn.yaml").read_text() == "mine"
    assert run(["init", str(tmp_path / "senn.yaml" / "below")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_the_dashboard_of_each_study_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["dashboard", str(tmp_path)]) == 4
    assert "no Optuna studies here" in capsys.readouterr().err
    (tmp_path / "optuna").mkdir()
    (tmp_path / "optuna" / "tpe-0.log").write_text("")
    assert run(["dashboard", str(tmp_path), "--json"]) == 0
    commands = json.loads(capsys.readouterr().out)["commands"]
    assert commands == [f"optuna-dashboard {tmp_path}/optuna/tpe-0.log"]

import json
from pathlib import Path

import pytest

from senn_ray.cli.main import run
from senn_ray.cli.settings import (
    as_environment,
    expand_flags,
    known_keys,
    read_layers,
)
from senn_ray.config import Config
from senn_ray.service import verbs

FILE = """
seed: 5
data: {per-class: 8, dataset: mnist}
model:
  hidden: [3, 4]
compare:
  seeds: 2
baseline:
  arms: []
growth:
  enabled: false
train: {max_steps: }
"""


@pytest.fixture(autouse=True)
def no_job(monkeypatch):
    def started(*_args, **_kwargs):
        raise AssertionError("bad settings started a job")

    monkeypatch.setattr(verbs, "grow", started)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(FILE)
    return path


def shown(capsys, *argv):
    assert run(["config", "show", "--json", *map(str, argv)]) == 0
    return Config.model_validate(json.loads(capsys.readouterr().out))


def test_defaults_are_those_of_the_model(capsys):
    assert shown(capsys) == Config()


def test_flags_win_over_environment_over_files_over_defaults(
    capsys, file, monkeypatch, tmp_path
):
    later = tmp_path / "later.yaml"
    later.write_text("data: {per_class: 9}\nseed: 6\n")
    monkeypatch.setenv("SENN_RAY_SEED", "7")
    config = shown(capsys, "-c", file, "--config", later, "--data.dataset", "cifar10")
    assert config.data.dataset == "cifar10"  # flag over file
    assert config.seed == 7  # environment over files
    assert config.data.per_class == 9  # later file over earlier
    assert config.model.hidden == (3, 4)  # file over default
    assert config.train == Config().train


def test_sections_named_like_verbs_are_read_from_files(capsys, file):
    config = shown(capsys, "-c", file)
    assert config.compare.seeds == 2
    assert config.baseline.arms == ()
    assert not config.growth.enabled


@pytest.mark.parametrize("name", ["SENN_RAY_MODEL_HIDDEN", "SENN_RAY_MODEL__HIDDEN"])
def test_environment_lists_have_commas(capsys, monkeypatch, name):
    monkeypatch.setenv(name, "4,5")
    assert shown(capsys).model.hidden == (4, 5)


@pytest.mark.parametrize(
    "words",
    [
        ["--model.hidden", "4,8"],
        ["--model.hidden=4,8"],
        ["--model.hidden", "4", "--model.hidden", "8"],
    ],
)
def test_lists_have_commas_or_are_repeated(capsys, words):
    assert shown(capsys, *words).model.hidden == (4, 8)


@pytest.mark.parametrize(
    "words",
    [
        ["--growth.enabled", "false"],
        ["--growth.enabled=False"],
        ["--growth.no-enabled"],
    ],
)
def test_truth_values_are_written_as_in_files(capsys, words):
    assert not shown(capsys, *words).growth.enabled


@pytest.mark.parametrize("key", [k for k, kind in known_keys().items() if kind is bool])
def test_a_truth_value_leaves_the_argument_after_its_flag_to_the_verb(key):
    for words in ([f"--{key}", "RUN/ID"], [f"--{key.replace('_', '-')}", "runs/a"]):
        assert expand_flags(["rerun", *words]) == ["rerun", *words]
    assert expand_flags([f"--{key}", "No", "RUN"]) == [f"--{key}=No", "RUN"]


@pytest.mark.parametrize("flag", ["--data.per-class", "--data.per_class"])
def test_hyphens_and_underscores_are_the_same(capsys, flag):
    assert shown(capsys, flag, "3").data.per_class == 3


def test_lists_may_mix_numbers_and_words(capsys, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("scan: {per_class: [10, all]}\n")
    for words in (["--scan.per-class", "10,all"], ["-c", path]):
        assert shown(capsys, *words).scan.per_class == (10, "all")


def test_every_key_can_be_set_by_flag_and_by_file(capsys, tmp_path):
    values = Config().model_dump(mode="json")
    path = tmp_path / "all.json"
    path.write_text(json.dumps(values))
    assert shown(capsys, "-c", path) == Config()
    for key in known_keys():
        section, _, name = key.rpartition(".")
        value = values[section][name] if section else values[name]
        if value is None or value == []:
            continue
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        assert shown(capsys, f"--{key}", text) == Config(), key


def test_other_words_are_left_alone():
    words = ["grow", "--out", "a,b", "--json", "--data.root=x,y"]
    assert expand_flags(words) == words


BAD_FLAGS = [
    (["--data.per-clas", "3"], "--data.per-clas. Did you mean --data.per-class?"),
    (["--train.lr", "-1"], "train.lr = -1: should be greater than 0"),
    (["--train.lr", "abc"], "train.lr = abc: should be a valid number"),
    (["--train.lr", "inf"], "train.lr = inf: should be a finite number"),
    (["--data.per-class", "0"], "data.per_class must be at least 1 or 'all', got 0"),
    (["--data.per-class", "x"], "data.per_class = x: should be a valid integer or"),
    (["--model.hidden", "4,x"], "model.hidden[1] = x: should be a valid integer"),
    (["--model.hidden", "0"], "model.hidden needs"),
    (["--model.hidden", "4", "8"], "unexpected '8'; a list is one word with commas"),
    (["--model.hidden"], "--model.hidden requires an argument"),
    (["--model.max-hidden", "1"], "model.hidden [2] exceeds model.max_hidden 1"),
    (["--scan.per-class", "10,0"], "scan.per_class needs numbers of at least 1"),
    (["--scan.per-class", "10,x"], "scan.per_class[1] = x: should be a valid integer"),
    (["--scan.per-class", "10,all,10"], "scan.per_class names 10 more than once"),
    (["--scan.subset-seeds", "0"], "scan.subset_seeds = 0: should be greater than or"),
    (["--growth.enabled", "maybe"], "unexpected 'maybe'; a list is one word"),
    (["--growth.removal-threshold", "0.5"], "growth.removal_threshold is gone"),
    (["-c", "nowhere.yaml"], "--config nowhere.yaml cannot be read (No such file"),
    (["--compare.arms", "a"], "compare.arms is not a setting. Did you mean compare."),
    (["--data", "digits"], "data is a section; it needs keys below it, such as data."),
    (["-c"], "-c requires an argument"),
    (["word"], "unexpected 'word'"),
]


@pytest.mark.parametrize(("words", "message"), BAD_FLAGS)
def test_bad_flags_are_one_line_and_exit_2(capsys, words, message):
    assert run(["grow", *words]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


BAD_FILES = [
    ("data: {per_clas: 3}", "data.per_clas is not a setting. Did you mean data.per_c"),
    ("dat: {per_class: 3}", "dat.per_class is not a setting. Did you mean data.per_c"),
    ("data: 3", "data is a section; it needs keys below it"),
    ("train: {lr: -1}", "train.lr = -1 (from "),
    ("- a\n- b", "must hold sections"),
    ("a: [", "is not valid YAML"),
    ("model: {hidden: []}", "model.hidden without any layer cannot grow"),
    ("data: {per_class: [1, 2]}", "data.per_class = [1, 2] (from "),
]


@pytest.mark.parametrize(("text", "message"), BAD_FILES)
def test_bad_files_are_one_line_and_exit_2(capsys, tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert run(["grow", "-c", str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_unknown_variables_of_a_section_are_errors(capsys, monkeypatch):
    monkeypatch.setenv("SENN_RAY_DATA_PER_CLAS", "3")
    assert run(["grow"]) == 2
    assert "Did you mean SENN_RAY_DATA_PER_CLASS?" in capsys.readouterr().err


def test_foreign_variables_are_left_alone(capsys, monkeypatch):
    monkeypatch.setenv("SENN_RAY_DATA", "somewhere")
    monkeypatch.setenv("SENN_RAYS", "1")
    assert shown(capsys) == Config()


def test_bad_variables_are_named(capsys, monkeypatch):
    monkeypatch.setenv("SENN_RAY_SEED", "x")
    assert run(["grow"]) == 2
    assert "seed = x (from SENN_RAY_SEED)" in capsys.readouterr().err


def test_what_files_and_variables_set_can_travel_as_variables(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "model: {hidden: [4, 8]}\nscan: {arms: []}\ngrowth: {enabled: false}\n"
        "train: {lr: 0.001}\ncluster: {address: 'head:6379'}\n"
    )
    below = read_layers([file], {"SENN_RAY_TRAIN__LR": "0.5", "SENN_RAY_WORK": "/x"})
    sent = as_environment(below)
    assert sent == {
        "SENN_RAY_MODEL_HIDDEN": "4,8",
        "SENN_RAY_SCAN_ARMS": "",
        "SENN_RAY_GROWTH_ENABLED": "false",
        "SENN_RAY_TRAIN_LR": "0.5",
        "SENN_RAY_CLUSTER_ADDRESS": "head:6379",
    }
    again = read_layers([], sent)
    assert {k: str(e.value).lower() for k, e in again.items()} == {
        k: str([*map(str, e.value)] if isinstance(e.value, list) else e.value).lower()
        for k, e in below.items()
    }

"""A plan tells what a job would do and cost, and starts nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from senn_ray.cli.main import run
from senn_ray.config import Config
from senn_ray.core.errors import ConfigError
from senn_ray.search.plan import Verb
from senn_ray.service import verbs

SECTIONS = {
    "train": {"min_steps": 60, "max_steps": 60, "evaluations": 5},
    "model": {"max_hidden": 12},
    "data": {"per_class": 20},
    "baseline": {
        "arms": ["max_once", "ladder", "random", "grid"],
        "max_trials": 4,
        "until_hits": 9,
        "repeats": 2,
    },
    "compare": {"seeds": 2, "retrain_seeds": 1},
}
CONFIG = Config.model_validate(SECTIONS)


@pytest.fixture(scope="module")
def outlook() -> dict[str, Any]:
    return verbs.plan("compare", CONFIG, executor=verbs.in_process)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> verbs.JobResult:
    out = tmp_path_factory.mktemp("done") / "run"
    return verbs.compare(CONFIG, out=out, executor=verbs.in_process)


def test_predicted_costs_are_those_of_the_job(
    outlook: dict[str, Any], done: verbs.JobResult
) -> None:
    for arm in ("max_once", "grid", "random"):
        predicted, real = outlook["arms"][arm], done.summary["cost"][arm]
        for currency in ("runs", "steps", "sample_visits", "flops"):
            ends = predicted[currency]
            assert ends["low"] == pytest.approx(real[currency], rel=1e-3)
            assert ends["high"] == pytest.approx(real[currency], rel=1e-3)
    senn = outlook["arms"]["senn"]
    assert senn["steps"]["expected"] == done.summary["cost"]["senn"]["steps"]
    low, high = (outlook["arms"]["ladder"]["runs"][end] for end in ("low", "high"))
    assert low <= done.summary["cost"]["ladder"]["runs"] <= high


def test_every_run_is_listed_under_the_name_and_seed_it_will_have(
    outlook: dict[str, Any], done: verbs.JobResult
) -> None:
    listed = {row["run_id"]: row for row in outlook["runs"]}
    assert len(listed) == len(outlook["runs"])
    for row in done.table("runs").to_pylist():
        if row["arm"] != "confirm":
            planned = listed[row["run_id"]]
            assert planned["seed"] == row["seed"]
            assert planned["hidden"] in (None, row["hidden"])


def test_what_depends_on_results_has_a_range() -> None:
    wide = {**SECTIONS, "model": {"max_hidden": 64}, "baseline": {"arms": ["ladder"]}}
    config = Config.model_validate(wide)
    outlook = verbs.plan("compare", config, executor=verbs.in_process)
    total = outlook["arms"]["total"]
    for row in total.values():
        assert row["low"] <= row["expected"] <= row["high"]
    assert total["runs"]["low"] < total["runs"]["high"]
    ladder = [row for row in outlook["runs"] if row["arm"] == "ladder"]
    assert {row["hidden"] is None for row in ladder} == {True}
    assert {row["certain"] for row in ladder} == {True, False}
    json.dumps(outlook, allow_nan=False)


@pytest.mark.parametrize("verb", ["grow", "scan"])
def test_other_jobs_are_planned_too(verb: Verb) -> None:
    sections = {**SECTIONS, "data": {}, "scan": {"per_class": [5, 20], "oracle": [5]}}
    config = Config.model_validate(sections)
    found = verbs.plan(verb, config, executor=verbs.in_process)
    runs = found["arms"]["senn"]["runs"]
    assert runs["low"] == runs["high"] == (1 if verb == "grow" else 6)
    assert found["buys"] == []
    if verb == "scan":
        assert {row["per_class"] for row in found["runs"]} == {5, 20}
        assert found["arms"]["grid"]["runs"]["expected"] == 9


def test_a_job_of_several_layers_is_measured_with_as_many() -> None:
    wide = {**SECTIONS, "model": {"hidden": [2, 2], "max_hidden": 8}}
    found = verbs.plan("grow", Config.model_validate(wide), executor=verbs.in_process)
    params = [row["params"] for row in found["calibration"]]
    assert params == [65 * w + w * (w + 1) + 10 * (w + 1) for w in (2, 4, 8)]


def test_settings_that_a_job_would_refuse_are_refused_before_anything_is_trained() -> (
    None
):
    config = Config.model_validate({"data": {"per_class": 5}})
    with pytest.raises(ConfigError, match=r"scan chooses data\.per_class itself"):
        verbs.plan("scan", config)


def test_the_verb_shows_costs_and_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(SECTIONS))
    assert run(["plan", "-c", str(settings)]) == 0
    text = capsys.readouterr().out
    for word in ("max_once", "total", "side by side", "Nothing was started", "trials"):
        assert word in text
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]
    assert run(["plan", "compare", "--seeds", "3"]) == 2
    assert "number of runs of grow" in capsys.readouterr().err

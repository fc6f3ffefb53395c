"""A plan lists every run of a job and what it costs, and starts nothing."""

import dataclasses
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from senn_ray.analysis.results import CompareSummary
from senn_ray.cli.main import run
from senn_ray.config import Config, FrontConfig
from senn_ray.core.errors import ConfigError
from senn_ray.core.records import Cost
from senn_ray.search.arms.ladders import bisected, doubled
from senn_ray.search.executor import LocalExecutor
from senn_ray.search.plan import Plan, Verb
from senn_ray.search.planned import planned_runs
from senn_ray.service import planning, verbs
from tests.search.executor_suite import make_record

SECTIONS = {
    "train": {"min_steps": 60, "max_steps": 60, "evaluations": 5},
    "model": {"max_hidden": 12},
    "data": {"per_class": 20},
    "baseline": {
        "arms": ["max_once", "ladder", "random", "grid", "ladder_bisect"],
        "max_trials": 4,
        "until_hits": 9,
        "repeats": 2,
    },
    "compare": {"seeds": 2, "retrain_seeds": 1},
}
CONFIG = Config.model_validate(SECTIONS)


@pytest.fixture(scope="module")
def plan() -> dict[str, Any]:
    return verbs.plan("compare", CONFIG, executor=verbs.in_process)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> verbs.JobResult[CompareSummary]:
    out = tmp_path_factory.mktemp("done") / "run"
    return verbs.compare(CONFIG, out=out, executor=verbs.in_process)


def test_runs_and_steps_of_a_plan_are_those_of_the_job_or_at_most_those(
    plan: dict[str, Any], done: verbs.JobResult[CompareSummary]
) -> None:
    real = {arm: dict(cost) for arm, cost in done.summary.cost.items()}
    for arm in ("max_once", "grid", "random", "senn"):
        assert plan["arms"][arm]["certain"] == plan["arms"][arm]["runs"]
        assert plan["arms"][arm]["runs"] == real[arm]["runs"]
    for arm in ("max_once", "grid", "random"):
        assert plan["arms"][arm]["steps"] == real[arm]["steps"]
    # A growing run's trunk may end sooner, and the number of its rungs is a guess.
    assert real["senn"]["steps"] / 2 < plan["arms"]["senn"]["steps"]
    assert plan["arms"]["senn"]["steps"] < 2 * real["senn"]["steps"]
    for arm in ("ladder", "ladder_bisect", "total"):
        row, ran = plan["arms"][arm], done.summary.ledger[arm]
        assert row["certain"] <= ran.runs <= row["runs"]
    for arm in ("ladder", "ladder_bisect"):
        assert plan["arms"][arm]["steps"] == 60 * plan["arms"][arm]["runs"]
    assert plan["arms"]["total"]["runs"] == len(plan["runs"])


@pytest.mark.parametrize(
    ("front", "width", "count"),
    [
        ({}, 45.0, 13),
        ({}, 1.0, 1),
        ({"rungs": 4}, 45.0, 4),
        ({"sizes": (900, 300)}, 45.0, 3),
    ],
)
def test_rungs_are_estimated_from_the_width(
    front: dict[str, Any], width: float, count: int
) -> None:
    assert planning.rungs(FrontConfig(**front), width) == count


def test_every_run_is_listed_under_the_name_seed_and_width_it_will_have(
    plan: dict[str, Any], done: verbs.JobResult[CompareSummary]
) -> None:
    listed = {row["run_id"]: row for row in plan["runs"]}
    ran = {row["run_id"]: row for row in done.table("runs").to_pylist()}
    for run_id, row in ran.items():
        if row["arm"] != "confirm":
            assert listed[run_id]["seed"] == row["seed"]
            assert listed[run_id]["hidden"] in (None, tuple(row["hidden"]))
    assert {name for name, row in listed.items() if row["certain"]} <= set(ran)


def test_the_summary_of_a_job_says_how_far_off_the_plan_was(
    plan: dict[str, Any], done: verbs.JobResult[CompareSummary]
) -> None:
    found, total = done.summary.plan, done.summary.ledger["total"]
    for name in ("runs", "steps"):
        # Here a growing run counts as a plain one.
        within = 0 if name == "runs" else 0.1
        assert found[name].predicted == pytest.approx(
            plan["arms"]["total"][name], rel=within
        )
        assert found[name].actual == getattr(total, name)
    seconds = found["device_s"]
    assert seconds.actual == pytest.approx(total.device_s)
    assert seconds.ratio == pytest.approx(seconds.actual / seconds.predicted)


@pytest.mark.parametrize(
    ("arms", "most", "certain"),
    [
        (["tpe"], {"tpe": 12}, 12),
        (["random"], {"random": 16}, 8),
        (["ladder"], {"ladder": 3 * 7}, 3 * 3),
        # Seven rungs; then 96, 80, 72 and 68, until 64 and 68 are within a tenth.
        (["ladder_bisect"], {"ladder_bisect": 3 * (7 + 4)}, 3 * 2),
        (["gradmax", "no_growth_at_final"], {"gradmax": 5, "no_growth_at_final": 5}, 5),
    ],
)
def test_adaptive_arms_are_counted_at_their_most(
    arms: list[str], most: dict[str, int], certain: int
) -> None:
    sections = {
        "model": {"max_hidden": 128},
        "baseline": {
            "arms": arms,
            "max_trials": 16,
            "until_hits": 8,
            "studies": 3,
            "trials_per_study": 4,
        },
    }
    job = Plan(verb="compare", config=Config.model_validate(sections))
    runs = planned_runs(job)
    searched = [r for r in runs if r.arm not in {"senn", "confirm"}]
    assert Counter(r.arm for r in searched) == most
    assert sum(r.certain for r in searched) == certain
    names = [r.run_id for r in runs if r.run_id]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "choose"), [("ladder", doubled), ("ladder_bisect", bisected)]
)
def test_no_losses_make_a_ladder_longer_than_its_most(name: str, choose: Any) -> None:
    sections = {
        "model": {"max_hidden": 200},
        "baseline": {"arms": [name], "repeats": 1},
    }
    job = Plan(verb="compare", config=Config.model_validate(sections))
    most = sum(r.arm == name for r in planned_runs(job))
    chance, lengths = random.Random(0), set[int]()
    for _ in range(3000):
        enough = 2 ** chance.uniform(1, 8)
        losses = dict[int, float]()
        while (width := choose(job, losses)) is not None:
            losses[width] = max(enough / width, 1.0) + chance.choice((0, 0.3, 9))
        lengths.add(len(losses))
    assert max(lengths) == most


@pytest.mark.parametrize("verb", ["grow", "scan"])
def test_other_jobs_are_planned_too(verb: Verb) -> None:
    sections = {**SECTIONS, "data": {}, "scan": {"per_class": [5, 20], "oracle": [5]}}
    config = Config.model_validate(sections)
    found = verbs.plan(verb, config, executor=verbs.in_process)
    assert found["arms"]["senn"]["runs"] == (1 if verb == "grow" else 6)
    assert all(row["certain"] for row in found["runs"])
    json.dumps(found, allow_nan=False)
    if verb == "scan":
        assert {row["per_class"] for row in found["runs"]} == {5, 20}
        assert found["arms"]["grid"]["runs"] == 9


def test_a_job_of_several_layers_is_measured_with_as_many() -> None:
    wide = {**SECTIONS, "model": {"hidden": [2, 2], "max_hidden": 8}}
    found = verbs.plan("grow", Config.model_validate(wide), executor=verbs.in_process)
    params = [row["params"] for row in found["calibration"]]
    assert params == [65 * w + w * (w + 1) + 10 * (w + 1) for w in (2, 4, 8)]


@pytest.mark.parametrize("width", [2, 20, 45, 300, 1024])
def test_linear_work_is_predicted_exactly_at_any_width(width: int) -> None:
    def seconds(w: float, counts: tuple[float, ...]) -> float:
        return float(np.dot(counts, (500, 3, 7, 0))) * (w + 1) / 100

    def record(spec: Any, _report: Any) -> Any:
        counts = (1, spec.train.max_steps, spec.train.evaluations, 0)
        used = seconds(spec.model.hidden[0], counts)
        return dataclasses.replace(make_record(spec), cost=Cost(device_s=used))

    job = Plan(verb="compare", config=Config())
    with LocalExecutor(record) as executor:
        model = planning.measure(job, executor)
    assert list(model.prices) == [2, 45, 1024]
    counts = (1, 1000, 40, 0)
    assert model.device_s(width, counts) == pytest.approx(seconds(width, counts))


def test_noise_of_the_clock_never_makes_a_negative_price() -> None:
    def record(spec: Any, _report: Any) -> Any:
        noise = 1.0 / spec.train.max_steps / spec.train.evaluations
        return dataclasses.replace(make_record(spec), cost=Cost(device_s=noise))

    with LocalExecutor(record) as executor:
        model = planning.measure(Plan(verb="grow", config=Config()), executor)
    assert all(price >= 0 for row in model.prices.values() for price in row)


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
    for word in (
        "max_once",
        "total",
        "side by side",
        "Nothing was started",
        "at most",
        "(winners trained again)",
    ):
        assert word in text
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]
    assert run(["plan", "compare", "--seeds", "3"]) == 2
    assert "number of runs of grow" in capsys.readouterr().err

"""A setting that has no effect is said, never silent."""

import ast
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

import senn_ray
from senn_ray.cli.settings import known_keys
from senn_ray.config import BaselineConfig, Config
from senn_ray.config.effects import UNREAD, NoEffectWarning, without_effect
from senn_ray.search.arms import ARMS, Arm, unread
from senn_ray.service import verbs
from tests.service.test_verbs import TINY

OPEN = Arm(name="mine", rule="", next_runs=lambda _: [])
THEIRS = replace(OPEN, settings=frozenset({"repeats"}))


@pytest.mark.parametrize(
    ("verb", "given", "keys"),
    [
        ("grow", {"compare": {"seeds": 5}}, ["compare.seeds"]),
        ("grow", {"baseline": {"repeats": 2}}, ["baseline.repeats"]),
        ("grow", {"scan": {"oracle": [5]}}, ["scan.oracle"]),
        ("compare", {"scan": {"subset_seeds": 2}}, ["scan.subset_seeds"]),
        ("scan", {"compare": {"seeds": 2}}, ["compare.seeds"]),
        ("scan", {"compare": {"epsilon": 0.1}}, []),
        ("compare", {"compare": {"seeds": 2}, "baseline": {"repeats": 2}}, []),
        (
            "compare",
            {"baseline": {"arms": ["random"], "studies": 2, "repeats": 2}},
            ["baseline.repeats", "baseline.studies"],
        ),
        ("compare", {"baseline": {"full_depth": 2}}, ["baseline.full_depth"]),
        ("compare", {"baseline": {"arms": ["tpe_full"], "full_depth": 2}}, []),
        ("compare", {"baseline": {"arms": [f"{__name__}:OPEN"], "full_depth": 2}}, []),
        (
            "compare",
            {"baseline": {"arms": [f"{__name__}:THEIRS"], "full_depth": 2}},
            ["baseline.full_depth"],
        ),
        (
            "compare",
            {"baseline": {"arms": [f"{__name__}:THEIRS"], "repeats": 2}},
            [],
        ),
        ("grow", {"model": {"patch": 2}}, ["model.patch"]),
        ("grow", {"model": {"kind": "conv", "patch": 2}}, []),
        (
            "grow",
            {"model": {"kind": "conv"}, "growth": {"curvature": "sampled"}},
            ["growth.curvature"],
        ),
        ("grow", {"train": {"damping": 0.1}}, ["train.damping"]),
        ("grow", {"train": {"damping": 0.1, "optimizer": "natural"}}, []),
        ("grow", {"growth": {"enabled": False, "rank": 3}}, ["growth.rank"]),
        (
            "grow",
            {"growth": {"score": "random", "ascent_steps": 3}},
            ["growth.ascent_steps"],
        ),
        (
            "grow",
            {"cluster": {"shrink": True, "placement": "PACK"}},
            ["cluster.placement", "cluster.shrink"],
        ),
        ("grow", {"cluster": {"workers_per_run": 2, "shrink": True}}, []),
        (
            "grow",
            {"data": {"root": "x", "memory_gb": 1}},
            ["data.memory_gb", "data.root"],
        ),
        ("grow", {"train": {"max_steps": 9}}, []),
        ("grow", {"train": {"max_steps": 9, "min_steps": 10}}, ["train.min_steps"]),
    ],
)
def test_given_settings_that_are_not_read_are_named(
    verb: str, given: dict[str, Any], keys: list[str]
) -> None:
    config = Config.model_validate(given)
    said = without_effect(verb, config, more=unread(config.baseline.arms))
    named = [re.split(" ha(?:s|ve) no effect: ", note)[0] for note in said]
    assert sorted(key for names in named for key in names.split(", ")) == keys


@pytest.mark.parametrize(
    ("train", "says"),
    [
        ({"epochs": 20}, "they are 57 steps, and train.min_steps is 1000"),
        ({"epochs": 2000, "max_steps": 900, "min_steps": 1}, "train.max_steps is 900"),
        ({"epochs": 2000}, None),
        ({"min_steps": 2000}, None),
    ],
)
def test_epochs_that_a_bound_overrules_are_named(
    train: dict[str, Any], says: str | None
) -> None:
    said = without_effect("grow", Config.model_validate({"train": train}), 1437)
    assert len(said) == (says is not None)
    assert says is None or says in said[0]


def test_the_table_names_keys_that_exist() -> None:
    for row in (*UNREAD, *unread([])):
        for pattern in row.keys:
            assert any(fnmatchcase(key, pattern) for key in known_keys()), pattern
        assert row.but in {"", *known_keys()}


def test_every_arm_of_the_table_says_which_settings_it_reads() -> None:
    read = [arm.settings for arm in ARMS.values()]
    assert None not in read
    assert frozenset().union(*filter(None, read)) == {*BaselineConfig.model_fields} - {
        "arms"
    }


def test_every_key_is_read_somewhere_or_the_table_says_why_not() -> None:
    package = Path(senn_ray.__file__).parent
    rooms = (p for p in package.rglob("*.py") if p.parent.name != "config")
    nodes = [
        node
        for path in rooms
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ]
    read = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    # Limits of the budget are read by name.
    read |= {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
    # Read by properties and methods of the sections themselves.
    behind = {"max_depth": "depth_cap", "epochs": "steps", "min_steps": "steps"}
    behind["max_steps"] = "steps"
    names = {key: key.rpartition(".")[2] for key in known_keys()}
    unread = {k for k, name in names.items() if behind.get(name, name) not in read}
    assert unread == set()


def test_the_verbs_say_it_before_anything_is_trained(tmp_path: Path) -> None:
    config = Config.model_validate({**TINY, "compare": {"seeds": 5}})
    with pytest.warns(NoEffectWarning) as found:
        result = verbs.grow(config, out=tmp_path / "a", executor=verbs.in_process)
    said = [str(warning.message) for warning in found]
    assert any("compare.seeds" in note and "--seeds" in note for note in said)
    assert any(note.startswith("train.epochs 2 has no effect") for note in said)
    assert len(result.summary.runs) == 1

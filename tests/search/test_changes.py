from pathlib import Path
from typing import Any

import pytest

from senn_ray.config import Config
from senn_ray.core.errors import ConfigError
from senn_ray.search.changes import continued

BEGAN = Config.model_validate({
    "seed": 3,
    "data": {"per_class": 100},
    "model": {"hidden": (2, 4)},
})


@pytest.mark.parametrize(
    ("given", "difference"),
    [
        ({"seed": 4}, "seed was 3, now 4"),
        ({"data": {"per_class": "all"}}, "data.per_class was 100, now all"),
        ({"model": {"hidden": (2,)}}, "model.hidden was 2,4, now 2"),
        ({"cluster": {"workers_per_run": 2}}, "cluster.workers_per_run was 1, now 2"),
        ({"seed": 0}, "seed was 3, now 0"),
    ],
)
def test_changes_are_refused_with_the_difference(
    given: dict[str, Any], difference: str
) -> None:
    with pytest.raises(ConfigError, match="start a new run") as told:
        continued(BEGAN, Config.model_validate(given), source="flags")
    assert difference in str(told.value)
    assert told.value.exit_code == 2


def test_all_differences_are_shown_at_once() -> None:
    given = Config.model_validate({"seed": 4, "train": {"lr": 1.0}})
    with pytest.raises(ConfigError, match=r"seed was 3, now 4; train\.lr was 0\.003"):
        continued(BEGAN, given, source="flags")


def test_the_same_value_given_again_and_defaults_change_nothing() -> None:
    for given in ({"seed": 3}, {"data": {"per_class": 100}}, {}):
        assert continued(BEGAN, Config.model_validate(given), source="") == BEGAN


def test_where_a_job_runs_may_change() -> None:
    cluster = {"address": "ray://head:10001", "max_parallel_runs": 7}
    given = {"cluster": cluster, "data": {"root": "/new"}, "output": {"root": "out"}}
    config = continued(BEGAN, Config.model_validate(given), source="")
    assert config.cluster.address == "ray://head:10001"
    assert config.cluster.max_parallel_runs == 7
    assert config.data.root == Path("/new")
    assert (
        config.model_copy(
            update={n: getattr(BEGAN, n) for n in ("cluster", "data", "output")}
        )
        == BEGAN
    )

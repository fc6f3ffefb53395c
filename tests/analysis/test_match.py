import math
from typing import Any

import numpy as np
import pytest

from senn_ray.analysis.match import match
from senn_ray.analysis.results import Interval
from senn_ray.core.errors import ConfigError, DataError
from senn_ray.search.studies import Study, Trial


def done(value: float, seconds: float | None = 2.0) -> Trial:
    return Trial(state="complete", values=(value,), seconds=seconds)


def study(*trials: Trial, name: str = "mine", direction: Any = "minimize") -> Study:
    return Study(name=name, directions=(direction,), trials=trials)


def test_independent_trials_are_searches_of_their_own() -> None:
    one = study(*map(done, [0.5, 0.1, 0.6, 0.7, 0.8]))
    found = match([one], 0.2, storage="here", independent=True)
    assert (found.searches, found.hits) == (5, 1)
    assert found.runs_to_target.estimate == pytest.approx(5)
    assert found.seconds_to_target is not None
    assert found.seconds_to_target.estimate == pytest.approx(10)
    assert found.curve[4].val_loss == pytest.approx(0.1)
    assert found.curve[0].val_loss == pytest.approx(0.54)


def test_a_study_of_a_sampler_that_learns_is_one_search_without_an_interval() -> None:
    one = study(*map(done, [0.5, 0.4, 0.1, 0.7]))
    found = match([one], 0.2, storage="here")
    assert (found.searches, found.hits) == (1, 1)
    assert found.studies[0].runs_to_target == 3
    assert found.runs_to_target == Interval(estimate=3.0, low=None, high=None)
    assert [point.val_loss for point in found.curve] == [0.5, 0.4, 0.1, 0.1]
    assert any("no interval" in note for note in found.notes)


def test_maximising_is_minimising_upside_down() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 6))
    down = [study(*map(done, row), name=str(n)) for n, row in enumerate(values)]
    up = [
        study(*(done(-v) for v in row), name=str(n), direction="maximize")
        for n, row in enumerate(values)
    ]
    for independent in (False, True):
        options = {"storage": "here", "independent": independent}
        first, second = match(down, -1.0, **options), match(up, 1.0, **options)
        for name in ("hits", "runs_to_target", "median_runs"):
            assert getattr(first, name) == getattr(second, name)
        for a, b in zip(first.curve, second.curve, strict=True):
            assert -(a.val_loss or math.nan) == b.val_loss
            assert (a.low, a.high) == tuple(
                None if end is None else -end for end in (b.high, b.low)
            )
        assert -(first.studies[2].best or math.nan) == second.studies[2].best


def test_only_complete_trials_reach_a_target_but_all_count() -> None:
    pruned = Trial(state="pruned", values=(0.0,), seconds=1.0)
    failed = Trial(state="failed", seconds=1.0)
    odd = done(math.nan)
    found = match([study(pruned, failed, odd, done(0.1))], 0.2, storage="here")
    (row,) = found.studies
    assert row.runs_to_target == 4
    assert (row.complete, row.pruned, row.failed) == (2, 1, 1)
    assert row.best == pytest.approx(0.1)
    assert found.curve[2].val_loss is None
    assert any("1 pruned" in note for note in found.notes)


def test_a_target_that_is_never_reached_gives_bounds() -> None:
    trials = [study(*[done(1.0)] * 64)]
    found = match(trials, 0.5, storage="here", independent=True)
    assert found.runs_to_target.bound
    assert found.runs_to_target.low == pytest.approx(21.9, abs=0.05)
    assert found.median_runs.estimate is None
    assert any("never reached" in note for note in found.notes)


def test_without_all_times_no_seconds_are_told() -> None:
    found = match([study(done(0.1), done(0.2, None))], 0.3, storage="here")
    assert found.seconds_to_target is None
    assert set(found.curve[0].cost) == {"runs"}


@pytest.mark.slow
def test_runs_to_target_of_studies_are_what_they_are_known_to_be() -> None:
    """Trials are uniform, so a study of 8 reaches 0.1 with q = 1 - 0.9^8."""
    rng = np.random.default_rng(7)
    studies = [study(*map(done, row)) for row in rng.uniform(size=(4000, 8))]
    found = match(studies, 0.1, storage="here")
    assert found.hit_probability.estimate == pytest.approx(1 - 0.9**8, abs=0.02)
    # Starting over is free for independent trials: 10 runs, as without studies.
    assert found.runs_to_target.estimate == pytest.approx(10, rel=0.05)
    assert found.median_runs.estimate == 7


def test_what_cannot_be_compared_is_refused() -> None:
    down, up = study(done(0.1)), study(done(0.1), direction="maximize")
    with pytest.raises(ConfigError, match=r"choose with --name"):
        match([down, up], 0.2, storage="here")
    with pytest.raises(ConfigError, match="has 1 objectives"):
        match([down], 0.2, storage="here", objective=1)
    with pytest.raises(DataError, match="no trial that has ended"):
        match([study()], 0.2, storage="here")

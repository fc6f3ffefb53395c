"""Promise against outcome, as a rank correlation."""

import dataclasses

import pytest
from scipy import stats

from senn_ray.analysis.summary import promise_summary
from senn_ray.core.records import Expansion, RunRecord
from tests.analysis.summaries import summary_of
from tests.analysis.test_summary import job_events
from tests.search.executor_suite import make_record, make_spec

PROMISED = (0.4, 0.3, 0.2, 0.1)


def _run(run_id: str, drops: tuple[float, ...], *, offset: float = 0.0) -> RunRecord:
    marks = [
        Expansion(
            step=50 * n,
            kind="widen",
            site=0,
            score_gain=2 * (promised + offset),
            relative_gain=None,
            current_score=None,
            heldout_gain=None,
            heldout_z=None,
            removal_cost=None,
            hidden_before=(2,),
            hidden_after=(3,),
            loss_before=1.0,
            loss_after=1.0 - drop,
        )
        for n, (promised, drop) in enumerate(zip(PROMISED, drops, strict=True))
    ]
    return dataclasses.replace(make_record(make_spec(run_id)), expansions=tuple(marks))


def test_promises_that_rank_outcomes_correlate_and_others_do_not() -> None:
    good = promise_summary([_run("a", (0.8, 0.6, 0.25, 0.05))])
    assert (good.runs, good.checks, good.kept) == (1, 4, 3)
    assert good.spearman == good.spearman_within == pytest.approx(1.0)
    assert promise_summary([_run("a", (0.1, 0.2, 0.3, 0.4))]).spearman == (
        pytest.approx(-1.0)
    )


def test_differences_between_runs_play_no_part_within_runs() -> None:
    runs = [
        _run("a", (0.1, 0.2, 0.3, 0.4)),
        _run("b", (5.1, 5.2, 5.3, 5.4), offset=5.0),
    ]
    found = promise_summary(runs)
    promised = [*PROMISED, *(p + 5 for p in PROMISED)]
    realised = [0.1, 0.2, 0.3, 0.4, 5.1, 5.2, 5.3, 5.4]
    expected = float(stats.spearmanr(promised, realised)[0])  # pyright: ignore[reportArgumentType]
    assert found.spearman == pytest.approx(expected)
    assert expected > 0
    assert found.spearman_within == pytest.approx(-1.0)
    assert (found.runs, found.checks) == (2, 8)


def test_too_few_checks_have_no_correlation() -> None:
    run = _run("a", (0.8, 0.6, 0.25, 0.05))
    short = dataclasses.replace(run, expansions=run.expansions[:2])
    assert promise_summary([short]).spearman is None
    assert promise_summary([]).checks == 0


@pytest.mark.parametrize("verb", ["grow", "compare"])
def test_every_summary_tells_it_of_the_growing_runs(verb) -> None:
    run = _run("a", (0.8, 0.6, 0.25, 0.05))
    summary = summary_of(job_events(verb, senn={"expansions": run.expansions}))
    assert summary["promises"]["checks"] == 20
    assert summary["promises"]["spearman"] == pytest.approx(1.0)

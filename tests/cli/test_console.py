import dataclasses
import io
import threading

import pytest
from rich.console import Console

from senn_ray.cli.console import Patience, describe, run_name, watching
from senn_ray.cli.verdict import result
from senn_ray.config import DataConfig, GrowthConfig, ModelConfig, TrainConfig
from senn_ray.core.events import (
    JobEnded,
    JobStarted,
    RunFinished,
    RunProgressed,
    RunSubmitted,
    TargetLocked,
    TestOpened,
)
from senn_ray.core.records import Cost, Progress, RunRecord, RunSpec
from senn_ray.report.formatting import duration, interval, number, widths
from tests.search.executor_suite import make_record, make_spec

SPEC = RunSpec(
    run_id="random-0-051",
    arm="random",
    kind="fixed",
    seed=1,
    data=DataConfig(),
    model=ModelConfig(),
    train=TrainConfig(),
    growth=GrowthConfig(),
    trial=51,
)
RECORD = RunRecord(
    run_id="random-0-051",
    arm="random",
    kind="fixed",
    study=0,
    trial=51,
    state="complete",
    stop_reason="schedule",
    dataset="digits",
    per_class="all",
    seed=1,
    workers=1,
    hidden_start=(14,),
    hidden=(14,),
    params=1060,
    n_train=1097,
    train_loss=0.1,
    val_loss=0.2311,
    val_accuracy=0.941,
    test_loss=None,
    test_accuracy=None,
    wall_s=6.1,
    checks=0,
    cost=Cost(steps=1500),
)
DIVERGED = dataclasses.replace(RECORD, state="diverged", error="loss is nan")
SIGN = Progress(
    run_id="random-0-051",
    step=300,
    max_steps=1500,
    hidden=(14,),
    train_loss=0.4,
    val_loss=0.5,
)
EVENTS = [
    JobStarted(verb="compare", config={}, versions={}, where="local Ray, 2 CPUs"),
    RunSubmitted(spec=SPEC),
    RunProgressed(progress=SIGN),
    RunFinished(record=RECORD),
    RunFinished(record=DIVERGED),
    TargetLocked(val_loss=0.23, max_params=1100),
    TestOpened(run_ids=("a", "b")),
    JobEnded(state="complete", exit_code=0),
]


def show(*, terminal, quiet=False):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=110, no_color=True)
    with watching(console, quiet=quiet) as observe:
        for event in EVENTS:
            observe(event)
    return file.getvalue()


def test_pipes_get_one_plain_line_per_finished_run():
    text = show(terminal=False)
    assert "\x1b" not in text
    assert text.splitlines() == [
        "compare on local Ray, 2 CPUs",
        "✓ random #51 hidden 14 val 0.2311 accuracy 94.1% 1500 steps 6.1 s (schedule)",
        "✗ random #51 diverged after 1500 steps 6.1 s, counted: loss is nan",
        "target locked: val 0.2300 (quality), and at most 1100 parameters "
        "(quality at size)",
        "test data read, once, for 2 runs",
    ]


def test_terminals_get_bars_and_the_same_lines():
    text = show(terminal=True)
    assert "✗ random #51 diverged" in text
    assert "best val 0.2311 at 14, 1 failed" in text


def test_quiet_shows_nothing():
    assert show(terminal=True, quiet=True) == ""


@pytest.mark.parametrize("index", [1, 2, 7])
def test_signs_of_life_are_no_lines(index):
    assert describe(EVENTS[index]) is None


def test_runs_are_named_by_arm_study_and_trial():
    assert run_name("tpe_pareto", 3, 20) == "tpe_pareto/3 #20"
    assert run_name("senn", 0, 2) == "senn #2"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (None, "–"),
        ({"estimate": 5.23, "low": 2.41, "high": 12.2}, "5.2 [2.4, 12]"),
        ({"estimate": 5.23, "low": 2.41, "high": None}, "5.2 [2.4, ∞]"),
        ({"estimate": None, "low": 2.2, "high": None, "bound": True}, "≥ 2.2"),
        ({"estimate": 1024.0, "low": None, "high": None}, "1024"),
        ({"estimate": 0.5, "low": None, "high": None}, "0.5"),
        ({"estimate": None, "low": None, "high": None}, "–"),
    ],
)
def test_intervals_and_bounds_read_differently(values, text):
    assert interval(values) == text


def test_numbers_widths_and_times_are_short():
    assert [number(x) for x in (None, 0.12345, 12.345, 1e-7)] == [
        "–",
        "0.1235",
        "12.3",
        "1e-07",
    ]
    assert [widths(x) for x in (None, 43, [64, 32], [])] == ["–", "43", "64-32", "none"]
    spans = [duration(x) for x in (None, 6.12, 90, 7200)]
    assert spans == ["–", "6.1 s", "1.5 min", "2.0 h"]


def render(summary):
    console = Console(file=io.StringIO(), width=120, record=True)
    for part in result(summary):
        console.print(part)
    return console.export_text()


def arm(**values):
    some = {"estimate": 10.4, "low": 5.5, "high": 23.5}
    given = {
        "hits": 8,
        "searches": 83,
        "runs": 83,
        "best_val_loss": 0.0709,
        "best_hidden": [64],
        "cost_to_hit": {"runs": some},
    }
    return given | values


COMPARED = {
    "verb": "compare",
    "targets": {"quality": {"val_loss": 0.0712, "max_params": None}},
    "arms": {
        "quality": {
            "senn": arm(best_hidden=[43]),
            "max_once": arm(hits=0, best_val_loss=None, best_hidden=None),
        }
    },
    "exchange_rate": {
        "quality": {
            "max_once": {
                "runs": {"estimate": 0.9, "low": 0.7, "high": 1.2},
                "steps": {"estimate": None, "low": 2.2, "bound": True},
                "sample_visits": {"estimate": 4, "low": 2, "high": 8},
            }
        }
    },
    "restarts_saved": {
        "quality": {"max_once": {"estimate": 8.4, "low": 3.1, "high": 21.5}}
    },
    "size": {
        "senn": {"estimate": 43, "low": 39, "high": 49},
        "best_fixed": {"estimate": 91, "low": None, "high": None},
        "smallest_sufficient": None,
    },
    "verdict": "Growing saves restarts.",
    "withheld": [],
    "caveats": ["The ladder needs fewer device-seconds."],
}


def test_the_verdict_table_shows_bounds_sizes_and_caveats():
    text = render(COMPARED)
    assert "validation loss at most 0.0712" in text
    rows = [line for line in text.splitlines() if line.startswith("max_once")]
    assert [row.split() for row in rows] == [
        ["max_once", "0/83", "10", "[5.5,", "24]", "8.4", "[3.1,", "22]", "–", "–"],
        ["max_once", "0.9", "[0.7,", "1.2]", "≥", "2.2", "4", "[2,", "8]", "–", "–"],
    ]
    assert "self-found 43 [39, 49] units; best fixed 91; smallest sufficient –" in text
    assert "Verdict: Growing saves restarts." in text
    assert "Caveat: The ladder" in text


def test_winners_trained_again_are_shown_with_test_values():
    value = {"estimate": 0.0812, "low": 0.08, "high": 0.0824}
    row = {
        "arm": "random",
        "target": "quality_at_size",
        "hidden": [64],
        "seeds": 5,
        "test_loss": value,
        "test_accuracy": {"estimate": 0.97, "low": None, "high": None},
    }
    text = render(COMPARED | {"retrained": [row]})
    assert "winners trained again" in text
    (line,) = [line for line in text.splitlines() if "0.0812" in line]
    assert " ".join(line.split()) == (
        "random quality at size 64 5 0.0812 [0.0800, 0.0824] 97.00%"
    )
    assert "trained again" not in render(COMPARED)


def test_an_interrupted_comparison_says_why_there_is_no_verdict():
    text = render(
        COMPARED
        | {
            "targets": {},
            "size": {"senn": None, "best_fixed": None, "smallest_sufficient": None},
            "verdict": None,
            "withheld": ["interrupted"],
        }
    )
    assert "No verdict: interrupted" in text
    assert "self-found – units" in text


def test_failed_seeds_are_named():
    base = {"seed": 0, "hidden": [9], "hidden_start": [2], "stop_reason": "converged"}
    runs = [
        base | {"run_state": "complete"},
        base | {"seed": 1, "run_state": "diverged", "error": "loss is nan"},
    ]
    text = render({"verb": "grow", "runs": runs, "caveats": ["1 of 2 runs diverged"]})
    assert "Seed 1 diverged: loss is nan" in text
    assert "Caveat: 1 of 2 runs diverged" in text


SCANNED = {
    "verb": "scan",
    "by_size": [
        {
            "per_class": 10,
            "hidden": [9, 6, 1024],
            "hidden_median": 7.5,
            "spread": 1.5,
            "converged": 2,
            "runs": 3,
            "val_loss": 1.59,
            "test_accuracy": 0.59,
        },
        {
            "per_class": "all",
            "hidden": [15],
            "hidden_median": None,
            "spread": None,
            "converged": 0,
            "runs": 1,
            "val_loss": None,
            "test_accuracy": None,
        },
    ],
    "fit": {
        "slope": 5.7,
        "low": 1.1,
        "high": 10.4,
        "spearman": 0.97,
        "log_log": {"slope": 0.24, "low": None, "high": None},
    },
    "oracle": [
        {
            "per_class": 10,
            "smallest_sufficient_hidden": least,
            "best_fixed_hidden": 64,
            "best_fixed_val_loss": 1.2,
            "best_fixed_test_accuracy": accuracy,
        }
        for least, accuracy in ((8, 0.7), (None, None))
    ],
    "caveats": ["2 of 4 cells hit the cap"],
}


def test_a_scan_is_a_table_of_sizes_and_a_trend():
    lines = render(SCANNED).splitlines()
    rows = [line.split() for line in lines]
    assert ["10", "9", "6", "1024", "7.5", "1.5", "2/3", "1.59", "59.00%"] in rows
    assert ["all", "15", "–", "–", "0/1", "–", "–"] in rows
    assert any("tenfold of examples: 5.7 [1.1, 10]" in line for line in lines)
    assert "Caveat: 2 of 4 cells hit the cap" in lines
    said = [line for line in lines if line.startswith("Plain networks, 10 per class")]
    assert "smallest sufficient width is 8; the best is 64" in said[0]
    assert "test accuracy 70.00%" in " ".join(" ".join(lines).split())
    assert "no width was shown to be sufficient" in said[1]


def test_a_scan_without_a_fit_says_so():
    unknown = {"slope": None, "low": None, "high": None}
    fit = unknown | {"spearman": None, "log_log": unknown}
    assert "No trend" in render(SCANNED | {"fit": fit})


def test_a_silent_cluster_is_named_once_and_a_lively_one_never():
    said, seen, told = [], [], threading.Event()

    def say(line):
        said.append(line)
        told.set()

    silent = Patience(seen.append, say, wait_s=0.01)
    silent(RunSubmitted(spec=make_spec("a")))
    told.wait()
    silent(RunSubmitted(spec=make_spec("b")))
    silent.end()
    assert len(said) == 1
    assert "0.01 s" in said[0]
    assert "ray status" in said[0]
    lively = Patience(seen.append, say, wait_s=0.2)
    lively(RunSubmitted(spec=make_spec("c")))
    lively(RunFinished(record=make_record(make_spec("c"))))
    lively._timer.join()
    assert len(said) == 1
    assert len(seen) == 4

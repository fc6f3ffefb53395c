import dataclasses
import io
import threading

import pytest
from rich.console import Console

from senn_ray.analysis.results import (
    Caveat,
    Interval,
    OracleRow,
    Rate,
    Retrained,
    SizeBlock,
    Target,
)
from senn_ray.analysis.summary import summarise
from senn_ray.cli.console import Patience, describe, watching
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
from senn_ray.report.formatting import duration, interval, number, oracle, widths
from tests.analysis.test_scan import cell_run, scan_events
from tests.analysis.test_summary import RESULT, job_events
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


def show(*, terminal, quiet=False, events=EVENTS):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=110, no_color=True)
    with watching(console, quiet=quiet) as observe:
        for event in events:
            observe(event)
    return file.getvalue()


def test_pipes_get_one_plain_line_per_finished_run():
    text = show(terminal=False)
    assert "\x1b" not in text
    assert text.splitlines() == [
        "compare on local Ray, 2 CPUs",
        "✓ random-0-051 hidden 14 val 0.2311 accuracy 94.1% 1500 steps 6.1 s (schedule)",
        "✗ random-0-051 diverged after 1500 steps 6.1 s, counted: loss is nan",
        "target locked: val 0.2300 (quality), and at most 1100 parameters "
        "(quality at size)",
        "test data read, once, for 2 runs",
    ]


def test_terminals_get_bars_and_the_same_lines():
    text = show(terminal=True)
    assert "✗ random-0-051 diverged" in text
    assert "best val 0.2311 at 14, 1 failed" in text


def walk_down(verb):
    """Return the events of a growing run: three sizes end, with signs of life between."""
    yield JobStarted(verb=verb, config={}, versions={}, where="local Ray, 2 CPUs")
    spec = dataclasses.replace(SPEC, run_id="senn-0-000", arm="senn", kind="grow")
    yield RunSubmitted(spec=spec)
    for rungs, width, loss in ((0, 40, 0.3), (1, 40, 0.2), (1, 28, 0.6), (2, 28, 0.25)):
        sign = dataclasses.replace(
            SIGN,
            run_id="senn-0-000",
            phase="descent",
            hidden=(width,),
            rungs=rungs,
            val_loss=loss + 0.01,
            least_loss=loss,
        )
        yield RunProgressed(progress=sign)


def test_a_front_fills_in_size_by_size_in_lines_of_grow_alone():
    lines = show(terminal=False, events=walk_down("grow")).splitlines()
    assert lines[1:] == [
        "senn-0-000 size 1 hidden 40 val 0.2000",
        "senn-0-000 size 2 hidden 28 val 0.2500",
    ]
    assert len(show(terminal=False, events=walk_down("scan")).splitlines()) == 1


def test_a_terminal_shows_the_front_below_the_bars():
    text = show(terminal=True, events=walk_down("compare"))
    assert "senn-0-000 front 40: 0.2000 · 28: 0.2500 …" in text
    assert "2 sizes done" in text


def test_quiet_shows_nothing():
    assert show(terminal=True, quiet=True) == ""


@pytest.mark.parametrize("index", [1, 2, 7])
def test_signs_of_life_are_no_lines(index):
    assert describe(EVENTS[index]) is None


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((5.23, 2.41, 12.2), "5.2 [2.4, 12]"),
        ((5.23, 2.41, None), "5.2 [2.4, ∞]"),
        ((None, 2.2, None), "≥ 2.2"),
        ((1024.0, None, None), "1024"),
        ((0.5, None, None), "0.5"),
        ((None, None, None), "–"),
    ],
)
def test_intervals_and_bounds_read_differently(ends, text):
    assert interval(between(*ends)) == text
    assert interval(None) == "–"


def between(estimate, low=None, high=None):
    bound = estimate is None and low is not None
    return Interval(estimate=estimate, low=low, high=high, bound=bound)


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


def rate(*ends):
    return Rate(**dataclasses.asdict(between(*ends)), chance_above_one=0.5)


def arm(name, **values):
    row = dataclasses.replace(
        RESULT.arms["quality"][name],
        hits=8,
        searches=83,
        best_val_loss=0.0709,
        best_hidden=(64,),
        cost_to_hit={"runs": between(10.4, 5.5, 23.5)},
    )
    return dataclasses.replace(row, **values)


NONE = SizeBlock(
    senn=None, best_fixed=None, plain_at_senn_size=None, smallest_sufficient=None
)
SENN = RESULT.size.senn
assert SENN is not None
COMPARED = dataclasses.replace(
    RESULT,
    targets={"quality": Target(val_loss=0.0712, max_params=None)},
    arms={
        "quality": {
            "senn": arm("senn", best_hidden=(43,)),
            "max_once": arm("max_once", hits=0, best_val_loss=None, best_hidden=None),
        }
    },
    exchange_rate={
        "quality": {
            "max_once": {
                "runs": rate(0.9, 0.7, 1.2),
                "steps": rate(None, 2.2),
                "sample_visits": rate(4, 2, 8),
                "flops": rate(None),
                "device_s": rate(None),
            }
        }
    },
    restarts_saved={"quality": {"max_once": between(8.4, 3.1, 21.5)}},
    size=dataclasses.replace(
        NONE,
        senn=dataclasses.replace(SENN, estimate=43, low=39, high=49),
        best_fixed=dataclasses.replace(SENN, estimate=91, low=None, high=None),
    ),
    retrained=(),
    verdict="Growing saves restarts.",
    withheld=(),
    caveats=(Caveat(weight="note", text="The ladder needs fewer device-seconds."),),
)


def test_the_verdict_table_shows_bounds_sizes_and_caveats():
    text = render(COMPARED)
    assert "validation loss at most 0.0712" in text
    rows = [line for line in text.splitlines() if line.startswith("max_once")]
    assert [row.split() for row in rows] == [
        [
            "max_once",
            "0",
            "of",
            "83",
            "10",
            "[5.5,",
            "24]",
            "8.4",
            "[3.1,",
            "22]",
            "–",
            "–",
        ],
        ["max_once", "0.9", "[0.7,", "1.2]", "≥", "2.2", "4", "[2,", "8]", "–", "–"],
    ]
    words = [" ".join(line.split()) for line in text.splitlines()]
    assert any(line.startswith("self-found 43 [39, 49] ") for line in words)
    assert any(line.startswith("best fixed 91 ") for line in words)
    assert "Growing found 43 hidden units (39 to 49 over" in text
    assert "Verdict. Growing saves restarts." in text
    assert "Fine print: 1 more" in text or "Keep in mind: The ladder" in text


def test_winners_trained_again_are_shown_with_test_values():
    row = Retrained(
        arm="random",
        target="quality_at_size",
        hidden=(64,),
        params=600,
        seeds=5,
        val_loss=None,
        test_loss=between(0.0812, 0.08, 0.0824),
        test_accuracy=between(0.97),
    )
    text = render(dataclasses.replace(COMPARED, retrained=(row,)))
    assert "Winners trained again" in text
    (line,) = [line for line in text.splitlines() if "0.0812" in line]
    assert " ".join(line.split()) == (
        "random quality at size 64 600 5 0.0812 [0.0800, 0.0824] 97.00%"
    )
    assert "trained again" not in render(COMPARED)


def test_an_interrupted_comparison_says_why_there_is_no_verdict():
    text = render(
        dataclasses.replace(
            COMPARED, targets={}, size=NONE, verdict=None, withheld=("interrupted",)
        )
    )
    assert "No verdict: interrupted" in text
    assert "self-found" not in text


def test_failed_seeds_are_named():
    diverged = {"state": "diverged", "stop_reason": "diverged", "error": "loss is nan"}
    text = render(summarise(job_events("grow", senn=diverged)))
    assert text.count("diverged: loss is nan") == 5
    assert "Keep in mind: 5 of 5 runs diverged" in text


def half_converged(spec):
    bad = spec.data.per_class == "all" or spec.trial == 2
    return cell_run(spec, stop_reason="cap_hit" if bad else "converged")


def test_a_scan_is_a_table_of_sizes_and_a_trend():
    lines = render(summarise(scan_events(run=half_converged)[0])).splitlines()
    rows = [line.split() for line in lines]
    assert ["10", "10", "11", "12*", "10.5", "–", "1.1", "2", "of", "3"] in [
        row[:10] for row in rows
    ]
    assert ["all", "37*", "38*", "39*", "–", "–", "–", "0", "of", "3"] in [
        row[:10] for row in rows
    ]
    assert any("tenfold of examples: 10 [" in line for line in lines)
    assert any(
        line.startswith("Keep in mind: 6 of 12 cells hit the cap") for line in lines
    )


def test_what_plain_networks_need_at_a_size_is_one_sentence():
    row = OracleRow(
        per_class=10,
        val_loss=1.3,
        smallest_sufficient_hidden=8,
        best_fixed_hidden=64,
        best_fixed_val_loss=1.2,
        best_fixed_test_accuracy=0.7,
        widths=(),
    )
    said = oracle(row)
    assert said.startswith("Plain networks, 10 per class")
    assert "smallest sufficient width is 8; the best is 64" in said
    assert "test accuracy 70.00%" in said
    unknown = dataclasses.replace(
        row, smallest_sufficient_hidden=None, best_fixed_test_accuracy=None
    )
    assert "no width was shown to be sufficient" in oracle(unknown)
    assert "accuracy" not in oracle(unknown)


def test_a_scan_without_a_fit_says_so():
    assert "no fit: it takes" in render(summarise(scan_events()[0][:4]))


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

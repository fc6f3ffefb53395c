import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from senn_ray.events import TargetLocked
from senn_ray.records import RunRecord
from senn_ray.search.arms import confirm, ladder_bisect, random
from senn_ray.search.arms.optuna_studies import OptunaStudies
from senn_ray.search.plan import Key, Plan, fixed_spec
from tests.search.fakes import fake_run, make_config

PLAN = Plan(verb="compare", config=make_config())
TARGET = TargetLocked(val_loss=0.12, max_params=2000)
Loss = Callable[[int], float]


def climb(loss: Loss, plan: Plan = PLAN) -> dict[int, float]:
    losses = dict[int, float]()
    while (width := ladder_bisect.next_width(plan, losses)) is not None:
        assert width not in losses, "a width is never tried twice"
        losses[width] = loss(width)
    return losses


def answer(losses: dict[int, float], epsilon: float = 0.02) -> int:
    bound = min(losses.values()) * (1 + epsilon)
    return min(width for width, loss in losses.items() if loss <= bound)


def test_the_ladder_finds_a_knee_to_the_resolution_of_the_target() -> None:
    for knee in (2, 3, 7, 20, 33, 50, 64):
        losses = climb(lambda width, knee=knee: max(1.0, (knee / width) ** 2))
        assert knee <= answer(losses) <= math.ceil(1.1 * knee)
        assert len(losses) <= math.log2(knee) + 7


def test_the_ladder_stops_at_the_cap() -> None:
    losses = climb(lambda width: 1 / width)
    assert max(losses) == PLAN.highest
    assert answer(losses) >= 0.9 * PLAN.highest


def test_the_ladder_survives_divergence() -> None:
    losses = climb(lambda _: math.inf)
    assert list(losses) == [2, 4]
    losses = climb(lambda width: math.inf if width > 8 else 1 / width)
    assert answer(losses) == 8


@given(st.lists(st.floats(0.01, 10), min_size=200, max_size=200))
def test_the_ladder_ends_whatever_the_losses(values: list[float]) -> None:
    losses = climb(lambda width: values[width])
    assert all(PLAN.lowest <= width <= PLAN.highest for width in losses)


def test_random_widths_are_log_uniform_between_start_and_cap() -> None:
    drawn = [random.draw_width(PLAN, trial) for trial in range(4000)]
    assert min(drawn) == PLAN.lowest
    assert max(drawn) <= PLAN.highest
    # 4 standard errors: 4 * sqrt(1 / 6 * 5 / 6 / 4000) = 0.024
    for low in (2, 4, 8, 16, 32, 64):
        share = sum(low <= width < 2 * low for width in drawn) / len(drawn)
        expected = math.log(2) / math.log(129 / 2)
        assert abs(share - expected) < 0.024


def finished(hits: list[bool]) -> dict[tuple[int, int], RunRecord]:
    records = {}
    for trial, hit in enumerate(hits):
        spec = fixed_spec(PLAN, Key(arm="random", study=0, trial=trial), 20)
        loss = 0.11 if hit else 0.13
        record = dataclasses.replace(fake_run(spec), val_loss=loss, params=1500)
        records[0, trial] = record
    return records


@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_random_search_stops_at_the_hit_that_completes_the_number(
    hits: list[bool],
) -> None:
    wants = random.wanted(PLAN, finished(hits), TARGET)
    counted = [sum(hits[:n]) for n in range(13)]
    expected = counted.index(3) if 3 in counted else 12
    assert len(wants) == expected


@given(st.lists(st.booleans(), min_size=12, max_size=12), st.data())
def test_no_random_trial_is_started_that_might_not_be_needed(
    hits: list[bool], data: st.DataObject
) -> None:
    everything = finished(hits)
    final = {w.trial for w in random.wanted(PLAN, everything, TARGET)}
    known = data.draw(st.sets(st.sampled_from(range(12))))
    some = {key: record for key, record in everything.items() if key[1] in known}
    assert {w.trial for w in random.wanted(PLAN, some, TARGET)} <= final
    assert {w.trial for w in random.wanted(PLAN, some, None)} <= final


def test_winners_are_the_top_one_under_each_constraint() -> None:
    records = []
    for trial, (width, loss) in enumerate([
        (4, 0.3),
        (20, 0.12),
        (21, 0.11),
        (99, 0.1),
    ]):
        spec = fixed_spec(PLAN, Key(arm="random", study=0, trial=trial), width)
        records.append(dataclasses.replace(fake_run(spec), val_loss=loss))
    best = confirm.winners(records, TARGET)
    assert best["random", "quality"].hidden == (99,)
    assert best["random", "quality_at_size"].hidden == (21,)


def drive(folder: Path, trials: range, *, study: int = 0) -> list[int]:
    """Ask and tell, with the studies opened anew for every trial."""
    widths = []
    for trial in trials:
        key = Key(arm="tpe_pareto", study=study, trial=trial)
        widths.append(width := OptunaStudies(PLAN, folder).ask(key))
        record = fake_run(fixed_spec(PLAN, key, width))
        OptunaStudies(PLAN, folder).tell(key, record)
    return widths


def load(folder: Path, study: int = 0) -> optuna.Study:
    path = str(folder / f"tpe_pareto-{study}.log")
    storage = JournalStorage(JournalFileBackend(path))
    return optuna.load_study(study_name=f"tpe_pareto-{study}", storage=storage)


def test_a_study_that_is_opened_again_goes_on_as_if_nothing_happened(
    tmp_path: Path,
) -> None:
    whole = OptunaStudies(PLAN, tmp_path / "whole")
    widths = []
    for trial in range(9):
        key = Key(arm="tpe_pareto", study=0, trial=trial)
        widths.append(whole.ask(key))
        whole.tell(key, fake_run(fixed_spec(PLAN, key, widths[-1])))
    first = drive(tmp_path / "parts", range(5))
    assert first + drive(tmp_path / "parts", range(5, 9)) == widths
    assert len(set(widths[:4])) >= 3, "random start-up trials do not repeat"


def test_studies_are_independent_and_stay_in_range(tmp_path: Path) -> None:
    one, other = drive(tmp_path, range(6)), drive(tmp_path, range(6), study=1)
    assert one != other
    assert all(PLAN.lowest <= width <= PLAN.highest for width in one + other)


def test_a_diverged_trial_is_a_failed_trial_of_its_study(tmp_path: Path) -> None:
    studies = OptunaStudies(PLAN, tmp_path)
    for trial, loss in enumerate([0.5, math.nan, None]):
        key = Key(arm="tpe_pareto", study=0, trial=trial)
        record = fake_run(fixed_spec(PLAN, key, studies.ask(key)))
        studies.tell(key, dataclasses.replace(record, val_loss=loss))
    states = [trial.state.name for trial in load(tmp_path).trials]
    assert states == ["COMPLETE", "FAIL", "FAIL"]


def test_a_study_minimises_loss_and_log_parameters(tmp_path: Path) -> None:
    (width,) = drive(tmp_path, range(1))
    (trial,) = load(tmp_path).trials
    record = fake_run(fixed_spec(PLAN, Key(arm="tpe_pareto", study=0, trial=0), width))
    assert trial.values == [record.val_loss, math.log(record.params)]
    assert [d.name for d in load(tmp_path).directions] == ["MINIMIZE", "MINIMIZE"]


def test_asking_again_gives_the_same_proposal_and_no_other_trial(
    tmp_path: Path,
) -> None:
    drive(tmp_path, range(5))
    key = Key(arm="tpe_pareto", study=0, trial=5)
    widths = {OptunaStudies(PLAN, tmp_path).ask(key) for _ in range(3)}
    assert len(widths) == 1
    assert len(load(tmp_path).trials) == 6


def test_a_trial_that_was_opened_but_got_no_width_gets_the_one_it_would_have_got(
    tmp_path: Path,
) -> None:
    widths = drive(tmp_path / "whole", range(6))
    drive(tmp_path / "killed", range(5))
    load(tmp_path / "killed").ask()
    assert drive(tmp_path / "killed", range(5, 6)) == widths[5:]
    assert [t.state.name for t in load(tmp_path / "killed").trials] == ["COMPLETE"] * 6


def test_telling_twice_is_telling_once(tmp_path: Path) -> None:
    (width,) = drive(tmp_path, range(1))
    key = Key(arm="tpe_pareto", study=0, trial=0)
    OptunaStudies(PLAN, tmp_path).tell(key, fake_run(fixed_spec(PLAN, key, width)))
    assert len(load(tmp_path).trials) == 1


def test_a_study_whose_file_is_gone_is_built_again_from_what_it_is_told(
    tmp_path: Path,
) -> None:
    widths = drive(tmp_path / "whole", range(6))
    studies = OptunaStudies(PLAN, tmp_path / "again")
    for trial, width in enumerate(widths[:5]):
        key = Key(arm="tpe_pareto", study=0, trial=trial)
        studies.tell(key, fake_run(fixed_spec(PLAN, key, width)))
    assert drive(tmp_path / "again", range(5, 6)) == widths[5:]


def test_what_a_killed_writer_left_is_repaired(tmp_path: Path) -> None:
    widths = drive(tmp_path / "whole", range(4))
    drive(tmp_path, range(3))
    file = tmp_path / "tpe_pareto-0.log"
    (tmp_path / "tpe_pareto-0.log.lock").touch()
    with file.open("a") as log:
        log.write('{"op_code": 4, "work')
    assert drive(tmp_path, range(3, 4)) == widths[3:]


def test_a_study_that_is_ahead_of_the_job_is_refused(tmp_path: Path) -> None:
    drive(tmp_path, range(3))
    with pytest.raises(RuntimeError, match="at trial 3"):
        OptunaStudies(PLAN, tmp_path).ask(Key(arm="tpe_pareto", study=0, trial=0))

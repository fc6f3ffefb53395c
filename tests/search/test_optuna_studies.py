"""Studies in Optuna's journals: as if the driver had never been away."""

import dataclasses
import itertools
import math
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from senn_ray.core.records import RunRecord
from senn_ray.search.arms import ARMS
from senn_ray.search.arms.optuna_studies import OptunaStudies
from senn_ray.search.arms.studies import STARTUP_TRIALS, cutoffs
from senn_ray.search.plan import Choice, Key, Plan, plain
from senn_ray.search.specs import fixed_spec
from tests.search.fakes import fake_run, make_config

PLAN = Plan(verb="compare", config=make_config())


def drive(
    folder: Path, trials: range, *, study: int = 0, arm: str = "tpe_pareto"
) -> list[Choice]:
    """Ask and tell, with the studies opened anew for every trial."""
    choices = []
    for trial in trials:
        key = Key(arm=arm, study=study, trial=trial)
        choices.append(choice := OptunaStudies(PLAN, folder).ask(key))
        record = fake_run(fixed_spec(PLAN, key, choice))
        OptunaStudies(PLAN, folder).tell(key, record)
    return choices


def load(folder: Path, arm: str = "tpe_pareto") -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(folder / f"{arm}-0.log")))
    return optuna.load_study(study_name=f"{arm}-0", storage=storage)


@pytest.mark.parametrize("arm", [arm.name for arm in ARMS.values() if arm.proposer])
def test_a_study_that_is_opened_again_goes_on_as_if_nothing_happened(
    tmp_path: Path, arm: str
) -> None:
    whole = OptunaStudies(PLAN, tmp_path / "whole")
    widths = []
    for trial in range(9):
        key = Key(arm=arm, study=0, trial=trial)
        widths.append(whole.ask(key))
        whole.tell(key, fake_run(fixed_spec(PLAN, key, widths[-1])))
    first = drive(tmp_path / "parts", range(5), arm=arm)
    assert first + drive(tmp_path / "parts", range(5, 9), arm=arm) == widths
    assert len(set(widths[:4])) >= 3, "random start-up trials do not repeat"


def test_studies_are_independent_and_stay_in_range(tmp_path: Path) -> None:
    one, other = drive(tmp_path, range(6)), drive(tmp_path, range(6), study=1)
    assert one != other
    widths = [width for choice in one + other for width in choice.hidden]
    assert all(PLAN.lowest <= width <= PLAN.highest for width in widths)


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


def test_the_full_search_stays_in_its_ranges_and_uses_them(tmp_path: Path) -> None:
    choices = drive(tmp_path, range(8), arm="tpe_full")
    assert {len(choice.hidden) for choice in choices} <= {1, 2, 3}
    assert all(len(set(choice.hidden)) == 1 for choice in choices)
    rates = [choice.lr for choice in choices if choice.lr is not None]
    decays = [choice.weight_decay or 0.0 for choice in choices]
    assert 3e-4 <= min(rates) < max(rates) <= 3e-2
    assert 1e-2 <= min(decays) < max(decays) <= 10


def test_plain_tpe_minimises_the_loss_alone(tmp_path: Path) -> None:
    (choice,) = drive(tmp_path, range(1), arm="tpe")
    (trial,) = load(tmp_path, "tpe").trials
    key = Key(arm="tpe", study=0, trial=0)
    assert trial.values == [fake_run(fixed_spec(PLAN, key, choice)).val_loss]


def test_a_pruned_trial_is_pruned_in_its_study_with_its_course(tmp_path: Path) -> None:
    key = Key(arm="tpe_pruner", study=0, trial=0)
    studies = OptunaStudies(PLAN, tmp_path)
    spec = fixed_spec(PLAN, key, studies.ask(key))
    record = fake_run(dataclasses.replace(spec, cutoffs=(None, 0.0)))
    assert record.state == "pruned"
    studies.tell(key, record)
    (trial,) = load(tmp_path, "tpe_pruner").trials
    assert trial.state.name == "PRUNED"
    assert list(trial.intermediate_values.values()) == [
        moment.val_loss for moment in record.evaluations
    ]


losses_of_trials = st.lists(
    st.lists(st.floats(0.1, 1.0), min_size=8, max_size=8), min_size=1, max_size=9
)


@settings(max_examples=40, deadline=None)
@given(
    course=st.lists(st.floats(0.1, 1.0), min_size=8, max_size=8), past=losses_of_trials
)
def test_cutoffs_prune_where_the_median_pruner_of_optuna_prunes(
    course: list[float], past: list[list[float]]
) -> None:
    study = optuna.create_study()
    study.add_trials([
        optuna.create_trial(value=min(p), intermediate_values=dict(enumerate(p)))
        for p in past
    ])
    pruner = optuna.pruners.MedianPruner(
        n_startup_trials=STARTUP_TRIALS, n_warmup_steps=2
    )
    trial = optuna.create_trial(state=optuna.trial.TrialState.RUNNING)
    theirs = None
    for place, loss in enumerate(course):
        trial.intermediate_values[place] = loss
        if theirs is None and pruner.prune(study, trial):
            theirs = place
    bounds = cutoffs([_with_course(p) for p in past])
    best = list(itertools.accumulate(course, min))
    above = (
        place
        for place, bound in enumerate(bounds)
        if bound is not None and best[place] > bound
    )
    assert next(above, None) == theirs


def _with_course(losses: list[float]) -> RunRecord:
    key = Key(arm="tpe_pruner", study=0, trial=0)
    record = fake_run(fixed_spec(PLAN, key, plain(2)))
    moment = record.evaluations[0]
    course = tuple(dataclasses.replace(moment, val_loss=loss) for loss in losses)
    return dataclasses.replace(record, evaluations=course)

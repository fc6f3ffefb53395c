"""Optuna, by ask and tell; the only file that imports it.

Every study lies in its own journal file (it opens in optuna-dashboard), and this
process is the only writer. The sampler of a proposal is seeded by the study and the
number of the trial: a proposal is a function of the study's results alone, so a study
that was closed and opened again goes on as if nothing had happened. (A sampler seeded
once would repeat itself.)

The driver may have been killed between any two writes. So asking for a trial that is
open already gives the proposal that was or would have been made, telling twice is
telling once, and a study whose file is gone is built again from what it is told.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from senn_ray.core.errors import ConfigError, DataError
from senn_ray.core.names import inside
from senn_ray.core.records import RunRecord
from senn_ray.core.seeds import derive
from senn_ray.search.arms import Proposer, find
from senn_ray.search.plan import Choice, Key, Plan, plain
from senn_ray.search.studies import Study, Trial
from senn_ray.search.targets import score

STARTUP_TRIALS = 4
CANDIDATES = 24


class OptunaStudies:
    """The studies of a job: ask for runs, tell outcomes."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        folder.mkdir(parents=True, exist_ok=True)
        _repair(folder)

    def ask(self, key: Key) -> Choice:
        """Let a study propose its next trial, or repeat the one still open."""
        return self._suggest(key, *self._open(key))

    def tell(self, key: Key, record: RunRecord) -> None:
        """Report a trial: its values, or a failure.

        Args:
            key: The study, and the number of the trial.
            record: The outcome; one without a finite loss is a failed trial.
        """
        study, storage = self._open(key)
        if len(study.trials) == key.trial:
            self._suggest(key, study, storage)
        if study.trials[key.trial].state.is_finished():
            return
        proposer = _proposer(key.arm)
        if proposer.prunes:
            _report(_trial(study, storage, key.trial), record)
        state, values = _outcome(record)
        study.tell(
            trial=key.trial, values=values[: proposer.objectives] or None, state=state
        )

    def _suggest(
        self, key: Key, study: optuna.Study, storage: JournalStorage
    ) -> Choice:
        known = len(study.trials)
        if known == key.trial:
            trial = study.ask()
        elif known == key.trial + 1:
            trial = _trial(study, storage, key.trial)
        else:
            raise RuntimeError(f"study {key.study} is at trial {known}, not {key}")
        return _choose(self._plan, key.arm, trial)

    def _open(self, key: Key) -> tuple[optuna.Study, JournalStorage]:
        path = str(inside(self._folder, f"{key.arm}-{key.study}.log"))
        backend = JournalFileBackend(path, lock_obj=JournalFileOpenLock(path))
        storage = JournalStorage(backend)
        study = optuna.create_study(
            storage=storage,
            study_name=f"{key.arm}-{key.study}",
            directions=[StudyDirection.MINIMIZE] * _proposer(key.arm).objectives,
            sampler=self._sampler(key),
            load_if_exists=True,
        )
        return study, storage

    def _sampler(self, key: Key) -> optuna.samplers.TPESampler:
        stream = ("optuna", key.arm, key.study, key.trial)
        seed = derive(self._plan.config.seed, *stream)
        return optuna.samplers.TPESampler(
            seed=seed % 2**32,
            n_startup_trials=STARTUP_TRIALS,
            n_ei_candidates=CANDIDATES,
            multivariate=True,
            constant_liar=False,
        )


def read_studies(storage: str, name: str | None = None) -> list[Study]:
    """Read anybody's studies, also while they run; nothing is written.

    Args:
        storage: The file of a journal storage, or a URL such as ``sqlite:///FILE``.
        name: The only study to read (default: all of the storage).

    Raises:
        DataError: if there is nothing there that Optuna can read.
        ConfigError: if there is no study of that name.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = storage.removeprefix("sqlite:///")
    if "://" not in file and not Path(file).is_file():
        raise DataError(f"{storage}: no such file; give the journal of an Optuna study")
    try:
        opened = (
            optuna.storages.get_storage(storage)
            if "://" in storage
            else JournalStorage(JournalFileBackend(storage))
        )
        found = opened.get_all_studies()
        ids = {s.study_name: opened.get_study_id_from_name(s.study_name) for s in found}
        trials = {study: opened.get_all_trials(number) for study, number in ids.items()}
    except Exception as error:
        raise DataError(
            f"{storage}: Optuna cannot read it ({type(error).__name__}: {error}); give "
            "the file of a journal storage, or a URL such as sqlite:///FILE"
        ) from error
    if not trials:
        raise DataError(f"{storage} holds no study that Optuna can read; give another")
    if name is not None and name not in trials:
        names = ", ".join(trials) or "none"
        raise ConfigError(f"{storage} has no study {name}; its studies are: {names}")
    return [
        _their_study(summary.study_name, summary.directions, trials[summary.study_name])
        for summary in found
        if name in {None, summary.study_name}
    ]


def _their_study(
    name: str, directions: Sequence[StudyDirection], trials: Sequence[FrozenTrial]
) -> Study:
    done = [trial for trial in trials if trial.state.is_finished()]
    return Study(
        name=name,
        directions=tuple(
            "maximize" if d == StudyDirection.MAXIMIZE else "minimize"
            for d in directions
        ),
        trials=tuple(
            Trial(
                state=_STATES[trial.state],
                values=tuple(trial.values or ()),
                seconds=trial.duration.total_seconds() if trial.duration else None,
            )
            for trial in done
        ),
        open=len(trials) - len(done),
    )


_STATES: dict[TrialState, Literal["complete", "pruned", "failed"]] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


def _proposer(arm: str) -> Proposer:
    proposer = find(arm).proposer
    if proposer is None:
        raise RuntimeError(f"{arm} asks for proposals, but has no proposer")
    return proposer


def _choose(plan: Plan, arm: str, trial: optuna.Trial) -> Choice:
    """Draw from the space of an arm; a trial that has drawn before repeats itself."""
    width = trial.suggest_int(
        name="hidden", low=plan.lowest, high=plan.highest, log=True
    )
    if not _proposer(arm).tunes:
        return plain(width)
    baseline = plan.config.baseline
    rates, decays = baseline.full_lr, baseline.full_weight_decay
    return Choice(
        hidden=(width,) * trial.suggest_int("depth", 1, baseline.full_depth),
        lr=trial.suggest_float("lr", *rates, log=True),
        weight_decay=trial.suggest_float("weight_decay", *decays, log=True),
    )


def _outcome(record: RunRecord) -> tuple[TrialState, list[float]]:
    """Return the state of a trial, its loss and its log parameters."""
    if record.state == "pruned":
        return TrialState.PRUNED, []
    loss = score(record)
    if not math.isfinite(loss) or record.params <= 0:
        return TrialState.FAIL, []
    return TrialState.COMPLETE, [loss, math.log(record.params)]


def _report(trial: optuna.Trial, record: RunRecord) -> None:
    """Tell the course of a run, as a pruner sees it; what is known is left."""
    known = trial.study.trials[trial.number].intermediate_values
    for place, moment in enumerate(record.evaluations):
        if place not in known:
            trial.report(moment.val_loss, place)


def _trial(study: optuna.Study, storage: JournalStorage, number: int) -> optuna.Trial:
    place = storage.get_study_id_from_name(study.study_name)
    found = storage.get_trial_id_from_study_id_trial_number(place, number)
    return optuna.Trial(study, found)


def _repair(folder: Path) -> None:
    """Remove what a killed writer left: locks, and lines that were cut short."""
    for lock in folder.glob("*.log.lock*"):
        lock.unlink(missing_ok=True)
    for file in folder.glob("*.log"):
        text = file.read_bytes()
        if text and not text.endswith(b"\n"):
            with file.open("r+b") as log:
                log.truncate(text.rfind(b"\n") + 1)

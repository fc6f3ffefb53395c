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
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from senn_ray.records import RunRecord
from senn_ray.search.plan import Key, Plan
from senn_ray.search.targets import score
from senn_ray.seeds import derive

PARAMETER = "hidden"
STARTUP_TRIALS = 4
CANDIDATES = 24


class OptunaStudies:
    """The studies of a job: ask for widths, tell outcomes."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        folder.mkdir(parents=True, exist_ok=True)
        _repair(folder)

    def ask(self, key: Key) -> int:
        """Let a study propose the width of its next trial, or of the one still open.

        Args:
            key: The study, and the number of the trial.
        """
        return self._suggest(key, *self._open(key))

    def tell(self, key: Key, record: RunRecord) -> None:
        """Report a trial: validation loss and log parameters, or a failure.

        Args:
            key: The study, and the number of the trial.
            record: The outcome; one without a finite loss is a failed trial.
        """
        study, storage = self._open(key)
        loss = score(record)
        if len(study.trials) == key.trial:
            self._suggest(key, study, storage)
        if study.trials[key.trial].state.is_finished():
            return
        if math.isfinite(loss) and record.params > 0:
            values = [loss, math.log(record.params)]
            study.tell(
                trial=key.trial, values=values, state=optuna.trial.TrialState.COMPLETE
            )
        else:
            study.tell(trial=key.trial, state=optuna.trial.TrialState.FAIL)

    def _suggest(self, key: Key, study: optuna.Study, storage: JournalStorage) -> int:
        known = len(study.trials)
        if known == key.trial:
            trial = study.ask()
        elif known == key.trial + 1:
            place = storage.get_study_id_from_name(study.study_name)
            number = storage.get_trial_id_from_study_id_trial_number(place, key.trial)
            trial = optuna.Trial(study, number)
        else:
            raise RuntimeError(f"study {key.study} is at trial {known}, not {key}")
        return trial.suggest_int(
            name=PARAMETER, low=self._plan.lowest, high=self._plan.highest, log=True
        )

    def _open(self, key: Key) -> tuple[optuna.Study, JournalStorage]:
        path = str(self._folder / f"{key.arm}-{key.study}.log")
        backend = JournalFileBackend(path, lock_obj=JournalFileOpenLock(path))
        storage = JournalStorage(backend)
        study = optuna.create_study(
            storage=storage,
            study_name=f"{key.arm}-{key.study}",
            directions=["minimize", "minimize"],
            sampler=self._sampler(key),
            load_if_exists=True,
        )
        return study, storage

    def _sampler(self, key: Key) -> optuna.samplers.TPESampler:
        seed = derive(self._plan.config.seed, "optuna", key.study, key.trial)
        return optuna.samplers.TPESampler(
            seed=seed % 2**32,
            n_startup_trials=STARTUP_TRIALS,
            n_ei_candidates=CANDIDATES,
            multivariate=True,
            constant_liar=False,
        )


def _repair(folder: Path) -> None:
    """Remove what a killed writer left: locks, and lines that were cut short."""
    for lock in folder.glob("*.log.lock*"):
        lock.unlink(missing_ok=True)
    for file in folder.glob("*.log"):
        text = file.read_bytes()
        if text and not text.endswith(b"\n"):
            with file.open("r+b") as log:
                log.truncate(text.rfind(b"\n") + 1)

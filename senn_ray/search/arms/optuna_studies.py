"""Optuna, by ask and tell; the only file that imports it.

Every study lies in its own journal file (it opens in optuna-dashboard), and this
process is the only writer. The sampler of a proposal is seeded by the study and the
number of the trial: a proposal is a function of the study's results alone, so a study
that was closed and opened again goes on as if nothing had happened. (A sampler seeded
once would repeat itself.)
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

    def ask(self, key: Key) -> int:
        """Let a study propose the width of its next trial.

        Args:
            key: The study, and the number of the trial.

        Raises:
            RuntimeError: if the study is at another trial.
        """
        trial = self._open(key).ask()
        if trial.number != key.trial:
            raise RuntimeError(f"study {key.study} is at {trial.number}, not {key}")
        return trial.suggest_int(
            name=PARAMETER, low=self._plan.lowest, high=self._plan.highest, log=True
        )

    def tell(self, key: Key, record: RunRecord) -> None:
        """Report a trial: validation loss and log parameters, or a failure.

        Args:
            key: The study, and the number of the trial.
            record: The outcome; one without a finite loss is a failed trial.
        """
        study, loss = self._open(key), score(record)
        if math.isfinite(loss) and record.params > 0:
            values = [loss, math.log(record.params)]
            study.tell(
                trial=key.trial, values=values, state=optuna.trial.TrialState.COMPLETE
            )
        else:
            study.tell(trial=key.trial, state=optuna.trial.TrialState.FAIL)

    def _open(self, key: Key) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = str(self._folder / f"{key.arm}-{key.study}.log")
        backend = JournalFileBackend(path, lock_obj=JournalFileOpenLock(path))
        return optuna.create_study(
            storage=JournalStorage(backend),
            study_name=f"{key.arm}-{key.study}",
            directions=["minimize", "minimize"],
            sampler=self._sampler(key),
            load_if_exists=True,
        )

    def _sampler(self, key: Key) -> optuna.samplers.TPESampler:
        seed = derive(self._plan.config.seed, "optuna", key.study, key.trial)
        return optuna.samplers.TPESampler(
            seed=seed % 2**32,
            n_startup_trials=STARTUP_TRIALS,
            n_ei_candidates=CANDIDATES,
            multivariate=True,
            constant_liar=False,
        )

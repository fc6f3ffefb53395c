"""A job that is resumed goes on in the midst of its run, not from its beginning."""

import threading
from collections.abc import Callable
from pathlib import Path

from senn_ray.config import ClusterConfig
from senn_ray.core.events import RunFinished, RunProgressed
from senn_ray.core.records import Progress, RunRecord, RunSpec
from senn_ray.data.examples import RawData
from senn_ray.runs.run import train_run
from senn_ray.search.executor import LocalExecutor, Report
from senn_ray.service import verbs
from senn_ray.store import journal
from senn_ray.training.checkpoints import CheckpointPolicy
from tests.service.test_verbs import settings


class Impatient(LocalExecutor):
    """Ctrl-C arrives with the first sign of life; until then the run waits."""

    def __init__(self, raw: RawData) -> None:
        super().__init__(self._train)
        self._raw = raw
        self._left = threading.Event()

    def wait(self) -> list[Report]:
        reports = super().wait()
        if any(isinstance(report, RunProgressed) for report in reports):
            raise KeyboardInterrupt
        return reports

    def close(self) -> None:
        self._closed = True
        self._left.set()
        super().close()

    def _train(self, spec: RunSpec, told: Callable[[Progress], None]) -> RunRecord:
        def tell_and_wait(progress: Progress) -> None:
            told(progress)
            assert self._left.wait(60)

        often = CheckpointPolicy(every_steps=1)
        return train_run(spec, self._raw, on_progress=tell_and_wait, checkpoints=often)


def impatient(raw: RawData, cluster: ClusterConfig) -> Impatient:
    del cluster
    return Impatient(raw)


# Many signs of life: a run is abandoned at the next one.
TRAIN = {"max_steps": 100, "min_steps": 100, "epochs": 1, "evaluations": 50}


def record(folder: Path) -> RunRecord:
    (finished,) = (e for e in journal.read(folder) if isinstance(e, RunFinished))
    return finished.record


def test_resume_goes_on_from_the_checkpoint_and_ends_the_same(tmp_path: Path) -> None:
    whole = verbs.grow(
        settings(train=TRAIN), out=tmp_path / "whole", executor=verbs.in_process
    )
    broken = verbs.grow(
        settings(train=TRAIN), out=tmp_path / "broken", executor=impatient
    )
    assert broken.exit_code == 130
    resumed = verbs.resume(broken.folder, executor=verbs.in_process)
    assert resumed.exit_code == 0
    assert record(resumed.folder).interruptions[0].startswith("went on from step ")
    assert record(resumed.folder).checksum == record(whole.folder).checksum

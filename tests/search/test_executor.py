import errno
import os
import threading
from collections.abc import Callable

import pytest

from senn_ray.core.errors import ResourceError
from senn_ray.core.records import Progress, RunRecord, RunSpec
from senn_ray.search.executor import LocalExecutor, RunFunction
from tests.search.executor_suite import (
    ExecutorSuite,
    drain,
    make_record,
    make_spec,
)


class TestLocalExecutor(ExecutorSuite):
    def make(self, run: RunFunction) -> LocalExecutor:
        return LocalExecutor(run)


def test_closing_unwinds_the_present_run_at_its_next_sign_of_life() -> None:
    started, go_on, seen = threading.Event(), threading.Event(), list[str]()

    def run(spec: RunSpec, on_progress: Callable[[Progress], None]) -> RunRecord:
        started.set()
        go_on.wait(timeout=60)
        seen.append("before")
        on_progress(
            Progress(
                run_id=spec.run_id,
                step=1,
                max_steps=2,
                hidden=(2,),
                train_loss=1.0,
                val_loss=1.0,
            )
        )
        seen.append("after")
        return make_record(spec)

    executor = LocalExecutor(run)
    executor.submit(make_spec("run-0"))
    executor.submit(make_spec("run-1"))
    started.wait(timeout=60)
    closer = threading.Thread(target=executor.close)
    closer.start()
    while not executor._closed:
        pass
    go_on.set()
    closer.join(timeout=60)
    assert seen == ["before"]


def test_a_full_disk_is_no_outcome_of_the_run_that_met_it() -> None:
    def full(*_: object) -> RunRecord:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with LocalExecutor(full) as executor:
        executor.submit(make_spec("a"))
        with pytest.raises(ResourceError, match="No space left"):
            drain(executor)

"""Stand-ins for ``tasks.train_run``; they travel to workers, which load no torch."""

import errno
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from senn_ray.core.records import Progress, RunRecord, RunSpec
from tests.search.executor_suite import make_record, run_well

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Adapted:
    """Make a run function of the executor suite out of data and reducer."""

    run: Callable[[RunSpec, OnProgress], RunRecord]

    def __call__(
        self, spec: RunSpec, raw: Any, *, reducer: Any, on_progress: Any
    ) -> RunRecord:
        del raw, reducer
        return self.run(spec, on_progress)


def die_or_run(spec: RunSpec, on_progress: OnProgress) -> RunRecord:
    """Kill the process for width 3."""
    if spec.model.hidden[0] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return run_well(spec, on_progress)


def no_space_or_run(spec: RunSpec, on_progress: OnProgress) -> RunRecord:
    """Find the disk full for width 3."""
    if spec.model.hidden[0] == 3:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return run_well(spec, on_progress)


def tell_process(spec: RunSpec, raw: Any, **_: Any) -> RunRecord:
    """Report the process, and whether the data is its own copy."""
    told = f"{os.getpid()} {raw.train_x.flags.writeable} {raw.train_x.sum()}"
    return make_record(spec, error=told)


def sum_ranks(spec: RunSpec, raw: Any, *, reducer: Any, on_progress: Any) -> RunRecord:
    """Sum over the gang; for width 5, rank 1 dies, whoever that is."""
    import torch

    from senn_ray.training.reducer import PeerLostError

    reducer.join()
    rank = reducer.rank
    if rank == 1 and spec.model.hidden[0] == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        total = reducer.sum(torch.tensor([float(rank + 1)]))
    except PeerLostError:
        return sum_ranks(spec, raw, reducer=reducer, on_progress=on_progress)
    if on_progress is not None:
        run_well(spec, on_progress)
    record = make_record(spec, error=f"{reducer.size} replicas")
    return replace(record, checksum=f"{total.item()}")

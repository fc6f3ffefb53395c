"""Runs that differ only in their seed, trained together: one step for all of them.

Every run keeps its own course (evaluations, early stopping, costs), batches and
network; only the steps are taken at once, on stacked parameters. On a CPU each run
ends with the same bits as alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.core.errors import DivergedError
from senn_ray.maths.losses import loss
from senn_ray.nets.mlp import dense
from senn_ray.nets.stacked import Stack
from senn_ray.runs.loop import OnProgress, check_finite, course, draw_batch
from senn_ray.training.cost import TRAINING
from senn_ray.training.optimizers import AdamW
from senn_ray.training.run_state import Replica
from senn_ray.training.schedule import Schedule

OnDiverged = Callable[[Replica, str], None]


@dataclass
class _Member:
    """One of the runs, between two steps."""

    replica: Replica
    course: Iterator[float]
    error: str | None = None

    def next_rate(self) -> float | None:
        """Go on to the next step; nothing if the run is over, or has diverged."""
        try:
            return next(self.course, None)
        except DivergedError as error:
            self.error = str(error)
            return None


def run_together(
    replicas: Sequence[Replica],
    schedule: Schedule,
    on_progress: OnProgress | None,
    on_diverged: OnDiverged,
) -> None:
    """Train runs of one schedule and architecture to their ends.

    The seconds that a step takes are divided among the runs that take it.

    Args:
        replicas: Runs of fixed size before their first step, by AdamW, each alone in
            its gang, with as many training examples each; changed in place.
        schedule: What happens when.
        on_progress: Told after every evaluation of every run.
        on_diverged: Given a run that diverged, as soon as it did, and why; the others
            go on.
    """
    members = [_Member(r, course(r, schedule, on_progress)) for r in replicas]
    flock = _Flock(members)
    while True:
        rates = [member.next_rate() for member in flock.members]
        flock.let_go(on_diverged)
        going = [rate for rate in rates if rate is not None]
        if not going:
            return
        flock.step(going[0])
        flock.let_go(on_diverged)


class _Flock:
    """The runs that still go on, their common parameters and their optimiser."""

    def __init__(self, members: list[_Member]) -> None:
        self.members = members
        self._gather()
        self._optimizer = AdamW(self._stack)

    def step(self, rate: float) -> None:
        """Take one step of every run on its own batch."""
        replicas = [member.replica for member in self.members]
        step, task = replicas[0].step, replicas[0].task
        x, targets = _batches(replicas, step)
        size = x.shape[1]
        totals = [
            loss(outputs, y, task) * size
            for outputs, y in zip(self._stack.outputs(x).unbind(), targets, strict=True)
        ]
        gradients = torch.autograd.grad(
            torch.stack(totals).sum(), self._stack.tensors()
        )
        decays = [replica.weight_decay for replica in replicas]
        means = [g / size for g in gradients]
        self._optimizer.step(self._stack, means, rate, decays)
        for member, total in zip(self.members, totals, strict=True):
            _note(member, step, total.item() / size, size)

    def let_go(self, on_diverged: OnDiverged) -> None:
        """Part from runs that have diverged."""
        stay = [i for i, m in enumerate(self.members) if m.error is None]
        if len(stay) == len(self.members):
            return
        gone = [member for member in self.members if member.error is not None]
        self.members = [self.members[i] for i in stay]
        for member in gone:
            on_diverged(member.replica, member.error or "")
        if stay:
            self._gather()
            state = self._optimizer.state()
            self._optimizer.restore({
                name: [tensor[stay] for tensor in tensors]
                for name, tensors in state.items()
            })

    def _gather(self) -> None:
        """Put the parameters of all members side by side, and share the seconds."""
        self._stack = Stack([dense(member.replica.net) for member in self.members])
        for member in self.members:
            member.replica.ledger.resize(1 / len(self.members))


def _batches(replicas: list[Replica], step: int) -> tuple[Tensor, Sequence[Tensor]]:
    """Read every run's batch: features [S, n, d], and the labels of each."""
    drawn = [draw_batch(replica, step)[0] for replica in replicas]
    train = replicas[0].train
    if all(replica.train is train for replica in replicas):
        x, y = train.batch(torch.cat(drawn))
        return x.unflatten(0, (len(drawn), -1)), y.split(len(drawn[0]))
    parts = [r.train.batch(d) for r, d in zip(replicas, drawn, strict=True)]
    return torch.stack([x for x, _ in parts]), [y for _, y in parts]


def _note(member: _Member, step: int, mean_loss: float, size: int) -> None:
    """Book a step of one run, unless its loss is no longer finite."""
    replica = member.replica
    try:
        check_finite(replica, step, mean_loss)
    except DivergedError as error:
        member.error = str(error)
        return
    replica.ledger.visit(size, replica.multiply_adds, TRAINING)
    replica.ledger.steps += 1
    replica.trace.losses.append(mean_loss)

"""The one loop of a training run: measure, prune, grow, step; for growing and fixed."""

import copy
import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from senn_ray.core.errors import DivergedError
from senn_ray.core.records import Evaluation, Expansion, Progress, StopReason
from senn_ray.growth.checks import Grower
from senn_ray.growth.pruning import prune_cheapest, would_prune
from senn_ray.maths.losses import loss
from senn_ray.nets.mlp import dense
from senn_ray.training import agreement
from senn_ray.training.cost import TRAINING, moment_flops
from senn_ray.training.decay import next_decay
from senn_ray.training.evaluate import evaluate
from senn_ray.training.natural import Natural
from senn_ray.training.run_state import Replica
from senn_ray.training.schedule import Schedule
from senn_ray.training.trace import Trace

OnProgress = Callable[[Progress], None]
BeforeStep = Callable[[Replica], None]

FLAT_SHARE, FLAT_NATS, FLAT_WINDOW = 0.1, 0.01, 2
"""A loss is flat if so many evaluations differ by less from as many before; batches
alone differ by some."""


def run(
    replica: Replica,
    schedule: Schedule,
    on_progress: OnProgress | None,
    *,
    before_step: BeforeStep | None = None,
) -> Trace:
    """Train a replica from the step where it is to the end of its schedule.

    The run ends with the network of its least validation loss: the same early stopping
    for growing and fixed runs. Surgery changes that network alike, so that it has the
    final size even if the least loss was met before.

    Args:
        replica: The network and its data; changed in place.
        schedule: What happens when.
        on_progress: Told after every evaluation.
        before_step: Shown the replica before every step, when its state is complete.

    Returns:
        The trace of the run. A loss that is no longer finite is a ``DivergedError``.
    """
    trace, grower = replica.trace, Grower(replica)
    growing = replica.spec.kind == "grow" and replica.spec.growth.enabled
    while replica.step <= schedule.steps and not trace.pruned:
        if before_step:
            before_step(replica)
        if growing:
            with replica.ledger.growing():
                _change_size(replica, grower, schedule)
        if schedule.evaluates(replica.step):
            _evaluate(replica, schedule)
            if on_progress:
                on_progress(_progress(replica, schedule))
            trace.pruned = is_pruned(replica.spec.cutoffs, trace.evaluations)
        if replica.step < schedule.steps and not trace.pruned:
            rate = schedule.rate(replica.step)
            trace.losses.append(train_step(replica, replica.step, rate))
        replica.step += 1
    if growing:
        with replica.ledger.growing():
            _confirm(replica, grower, schedule)
    replica.net = replica.best or replica.net
    return trace


def train_step(replica: Replica, step: int, lr: float) -> float:
    """Take one optimiser step on a batch that follows from (seed, step).

    Args:
        replica: The network and its data; changed in place.
        step: Number of the step.
        lr: Learning rate.

    Returns:
        The mean loss of the batch, before the step. One that is no longer finite is a
        ``DivergedError``.
    """
    chosen, size = draw_batch(replica, step)
    x, y = replica.train.batch(chosen)
    if isinstance(replica.optimizer, Natural) and replica.optimizer.observe(
        replica.net, x, y, size
    ):
        replica.ledger.visit(size, replica.multiply_adds, TRAINING)
        for n_out, n_in in dense(replica.net).architecture().matrices():
            replica.ledger.count(moment_flops(size, n_in) + moment_flops(size, n_out))
    total = loss(replica.net(x), y, replica.task) * len(x)
    gradients = torch.autograd.grad(total, replica.net.tensors())
    *sums, total = replica.reduce([*gradients, total.detach()[None]])
    mean_loss = total.item() / size
    check_finite(replica, step, mean_loss)
    means = [s / size for s in sums]
    replica.optimizer.step(replica.net, means, lr, replica.weight_decay)
    replica.ledger.visit(size, replica.multiply_adds, TRAINING)
    replica.ledger.steps += 1
    return mean_loss


def draw_batch(replica: Replica, step: int) -> tuple[Tensor, int]:
    """Draw the batch of a step, a function of (seed, step).

    Args:
        replica: Whose training data it is drawn from.
        step: Number of the step.

    Returns:
        Indices of this replica's share, and the size of the whole batch.
    """
    count = len(replica.train)
    size = min(replica.spec.train.batch_size, count)
    chosen = torch.randint(count, (size,), generator=replica.generator("batch", step))
    return replica.shard(chosen), size


def check_finite(replica: Replica, step: int, mean_loss: float) -> None:
    """Check the loss of a batch.

    Args:
        replica: The run.
        step: Number of the step.
        mean_loss: Of the batch.

    Raises:
        DivergedError: if the loss is no longer finite.
    """
    if not math.isfinite(mean_loss):
        config = replica.spec.train
        raise DivergedError(
            f"loss became {mean_loss} at step {step} (train.lr {config.lr}, "
            f"train.optimizer {config.optimizer}); lower train.lr"
        )


def _change_size(replica: Replica, grower: Grower, schedule: Schedule) -> None:
    trace, step = replica.trace, replica.step
    before = len(trace.expansions)
    if schedule.prunes(step):
        removals = prune_cheapest(replica, step, born_before=schedule.grown_up(step))
        trace.shrinking = bool(removals)
        trace.expansions += removals
        if removals and replica.best is not None:
            trace.best = evaluate(replica, replica.best, replica.val)
    if schedule.checks_growth(step) and not grower.at_cap():
        check = grower.check(step, exploring=step < schedule.cooldown_start)
        trace.checks += 1
        trace.current_score = check.current_score
        trace.expansions = _realised(trace.expansions, check.loss) + check.events
    if len(trace.expansions) > before:
        agreement.verify(replica)


def _confirm(replica: Replica, grower: Grower, schedule: Schedule) -> None:
    """Ask the annealed network whether it wants to grow, or to shrink, any more."""
    trace, end = replica.trace, schedule.steps
    trace.confirmed = grower.confirm(end)
    trace.checks += 1
    if trace.shrinking:
        grown_up = schedule.grown_up(end)
        trace.shrinking = would_prune(replica, end, born_before=grown_up)


def _realised(events: list[Expansion], loss_now: float) -> list[Expansion]:
    """Note the loss at the check after each addition, next to what was promised."""
    return [
        dataclasses.replace(event, loss_after=loss_now)
        if event.loss_after is None
        else event
        for event in events
    ]


def _evaluate(replica: Replica, schedule: Schedule) -> None:
    trace, step = replica.trace, replica.step
    quality = evaluate(replica, replica.net, replica.val)
    if not math.isfinite(quality.loss):
        raise DivergedError(f"validation loss became {quality.loss} at step {step}")
    evaluation = Evaluation(
        step=step,
        sample_visits=replica.ledger.sample_visits,
        device_s=replica.ledger.cost().device_s,
        train_loss=sum(trace.losses) / len(trace.losses),
        val_loss=quality.loss,
        val_accuracy=quality.accuracy,
        lr=schedule.rate(min(step, schedule.steps - 1)),
        hidden=replica.hidden,
        params=replica.num_params,
        current_score=trace.current_score,
        weight_decay=replica.weight_decay,
    )
    trace.evaluations.append(evaluation)
    trace.losses = []
    if trace.best is None or quality.loss < trace.best.loss:
        trace.best = quality
        replica.best = copy.deepcopy(replica.net)
    if step < schedule.steps:
        replica.weight_decay = next_decay(replica, quality.loss)


def is_pruned(
    cutoffs: Sequence[float | None], evaluations: Sequence[Evaluation]
) -> bool:
    """Tell whether a run ends here: its best so far is above the cutoff.

    Args:
        cutoffs: By evaluation; nothing where the run goes on in any case.
        evaluations: All so far, at least one.
    """
    place = len(evaluations) - 1
    cutoff = cutoffs[place] if place < len(cutoffs) else None
    return cutoff is not None and min(e.val_loss for e in evaluations) > cutoff


def _progress(replica: Replica, schedule: Schedule) -> Progress:
    last = replica.trace.evaluations[-1]
    return Progress(
        run_id=replica.spec.run_id,
        step=last.step,
        max_steps=schedule.steps,
        hidden=last.hidden,
        train_loss=last.train_loss,
        val_loss=last.val_loss,
        phase="grow" if last.step < schedule.cooldown_start else "consolidate",
    )


def _is_capped(replica: Replica) -> bool:
    """Tell whether a cap on the width, or one on the depth, decided the size."""
    model = replica.spec.model
    widths = bool(replica.hidden) and min(replica.hidden) >= model.max_hidden
    return widths or (model.may_deepen and not replica.may_insert)


def stop_reason(replica: Replica, trace: Trace) -> StopReason:
    """Say why a finished run has the size it has.

    Converged means that neither growth nor pruning changes anything any more: a last
    check on the annealed network accepted nothing, the last pruning removed nothing (or
    another one would remove nothing more), and the training loss is flat.

    Args:
        replica: The finished run.
        trace: What it has been through.

    Returns:
        ``schedule`` (or ``pruned``) for a run of fixed size, else converged, cap_hit
        or budget.
    """
    if trace.pruned:
        return "pruned"
    growth = replica.spec.growth
    if replica.spec.kind == "fixed" or not growth.enabled:
        return "schedule"
    if _is_capped(replica):
        return "cap_hit"
    flat = is_flat(trace.evaluations, FLAT_NATS * replica.loss_unit)
    settled = trace.confirmed and not trace.shrinking and flat
    return "converged" if settled else "budget"


def is_flat(evaluations: Sequence[Evaluation], least: float) -> bool:
    """Compare the training loss of the last two evaluations with that of two before.

    The very last one may come a few batches after the one before it, and is left out
    then.

    Args:
        evaluations: All, with the mean training loss since the one before.
        least: A difference that is none in any case.
    """
    every = evaluations[0].step
    losses = [e.train_loss for e in evaluations if e.step % every == 0]
    window = min(FLAT_WINDOW, len(losses) // 2)
    if not window:
        return False
    before = sum(losses[-2 * window : -window]) / window
    return abs(before - sum(losses[-window:]) / window) <= max(
        FLAT_SHARE * before, least
    )

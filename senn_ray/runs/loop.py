"""The one loop of a training run: measure, prune, grow, step; for growing and fixed."""

import copy
import dataclasses
import math
from collections.abc import Callable, Sequence

import torch

from senn_ray.core.errors import DivergedError
from senn_ray.core.records import Evaluation, Progress, StopReason
from senn_ray.growth.checks import at_cap, check_growth, is_settled
from senn_ray.growth.pruning import prune_cheapest, would_prune
from senn_ray.maths.losses import loss
from senn_ray.nets.mlp import dense
from senn_ray.training.cost import TRAINING, moment_flops
from senn_ray.training.decay import next_decay
from senn_ray.training.evaluate import evaluate
from senn_ray.training.natural import Natural
from senn_ray.training.recovery import verify
from senn_ray.training.run_state import RunState, Trace
from senn_ray.training.schedule import Schedule

OnProgress = Callable[[Progress], None]
BeforeStep = Callable[[RunState], None]

FLAT_SHARE, FLAT_NATS, FLAT_WINDOW = 0.1, 0.01, 2
"""A loss is flat if so many evaluations differ by less from as many before; batches
alone differ by some."""


def train(
    run: RunState,
    schedule: Schedule,
    on_progress: OnProgress | None,
    *,
    before_step: BeforeStep | None = None,
) -> Trace:
    """Train a run from the step where it is to the end of its schedule.

    The run ends with the network of its least validation loss: the same early stopping
    for growing and fixed runs. Surgery changes that network alike, so that it has the
    final size even if the least loss was met before.

    Args:
        run: The network and its data; changed in place.
        schedule: What happens when.
        on_progress: Told after every evaluation.
        before_step: Shown the run before every step, when its state is complete.

    Returns:
        The trace of the run, ``run.trace``. A loss that is no longer finite is a
        ``DivergedError``.
    """
    trace = run.trace
    growing = run.spec.kind == "grow" and run.spec.growth.enabled
    # One turn more than there are steps: the last one evaluates and takes no step.
    while run.step <= schedule.steps and not trace.pruned:
        if before_step:
            before_step(run)
        if growing:
            with run.ledger.growing():
                _change_size(run, schedule)
        if schedule.evaluates(run.step):
            _evaluate(run, schedule, on_progress)
            trace.pruned = is_pruned(run.spec.cutoffs, trace.evaluations)
        if run.step < schedule.steps and not trace.pruned:
            rate = schedule.rate(run.step)
            trace.losses.append(train_step(run, run.step, rate))
        run.step += 1
    if growing:
        # The annealed network is asked once more whether it wants to grow, or to
        # shrink; it is not changed, since there is no time left to train it.
        end = schedule.steps
        with run.ledger.growing():
            trace.confirmed = is_settled(run, end)
            trace.checks += 1
            if trace.shrinking:
                born_before = schedule.prunable_before(end)
                trace.shrinking = would_prune(run, end, born_before=born_before)
    run.net = run.best or run.net
    return trace


def train_step(run: RunState, step: int, lr: float) -> float:
    """Take one optimiser step on a batch that follows from (seed, step).

    Returns:
        The mean loss of the batch, before the step.

    Raises:
        DivergedError: if the loss is no longer finite.
    """
    # The batch does not depend on the size of the gang: each replica takes a share of
    # it, and gradients are summed, not averaged, so that unequal shares do not matter.
    count = len(run.train)
    size = min(run.spec.train.batch_size, count)
    chosen = torch.randint(count, (size,), generator=run.generator("batch", step))
    x, y = run.train.batch(run.shard(chosen))
    if isinstance(run.optimizer, Natural) and run.optimizer.observe(
        run.net, x, y, size
    ):
        run.ledger.visit(size, run.multiply_adds, TRAINING)
        for n_out, n_in in dense(run.net).architecture().matrices():
            run.ledger.count(moment_flops(size, n_in) + moment_flops(size, n_out))
    total = loss(run.net(x), y, run.task) * len(x)
    gradients = torch.autograd.grad(total, run.net.tensors())
    *sums, total = run.reduce([*gradients, total.detach()[None]])
    mean_loss = total.item() / size
    if not math.isfinite(mean_loss):
        config = run.spec.train
        raise DivergedError(
            f"loss became {mean_loss} at step {step} (train.lr {config.lr}, "
            f"train.optimizer {config.optimizer}); lower train.lr"
        )
    means = [s / size for s in sums]
    run.optimizer.step(run.net, means, lr, run.weight_decay)
    run.ledger.visit(size, run.multiply_adds, TRAINING)
    run.ledger.steps += 1
    return mean_loss


def _change_size(run: RunState, schedule: Schedule) -> None:
    """Prune and grow, if this is the step for it."""
    trace, step = run.trace, run.step
    before = len(trace.expansions)
    if schedule.prunes(step):
        removals = prune_cheapest(run, step, born_before=schedule.prunable_before(step))
        trace.shrinking = bool(removals)
        trace.expansions += removals
        # Unlike growth, pruning changes the function, also that of the best network.
        if removals and run.best is not None:
            trace.best = evaluate(run, run.best, run.val)
    if schedule.checks_growth(step) and not at_cap(run):
        check = check_growth(run, step, exploring=step < schedule.cooldown_start)
        trace.checks += 1
        trace.current_score = check.current_score
        # What the additions of the check before have come to, next to what was promised.
        trace.expansions = [
            dataclasses.replace(event, loss_after=check.loss)
            if event.loss_after is None
            else event
            for event in trace.expansions
        ] + check.events
    if len(trace.expansions) > before:
        verify(run)


def _evaluate(
    run: RunState, schedule: Schedule, on_progress: OnProgress | None
) -> None:
    """Measure the validation loss; it chooses the best network and steers decay."""
    trace, step = run.trace, run.step
    quality = evaluate(run, run.net, run.val)
    if not math.isfinite(quality.loss):
        raise DivergedError(f"validation loss became {quality.loss} at step {step}")
    evaluation = Evaluation(
        step=step,
        sample_visits=run.ledger.sample_visits,
        device_s=run.ledger.cost().device_s,
        train_loss=sum(trace.losses) / len(trace.losses),
        val_loss=quality.loss,
        val_accuracy=quality.accuracy,
        lr=schedule.rate(min(step, schedule.steps - 1)),
        hidden=run.hidden,
        params=run.num_params,
        current_score=trace.current_score,
        weight_decay=run.weight_decay,
    )
    trace.evaluations.append(evaluation)
    trace.losses = []
    if trace.best is None or quality.loss < trace.best.loss:
        trace.best = quality
        run.best = copy.deepcopy(run.net)
    if step < schedule.steps:
        run.weight_decay = next_decay(run, quality.loss)
    if on_progress:
        on_progress(
            Progress(
                run_id=run.spec.run_id,
                step=step,
                max_steps=schedule.steps,
                hidden=evaluation.hidden,
                train_loss=evaluation.train_loss,
                val_loss=evaluation.val_loss,
                phase="grow" if step < schedule.cooldown_start else "consolidate",
            )
        )


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


def stop_reason(run: RunState) -> StopReason:
    """Say why a finished run has the size it has.

    Converged means that neither growth nor pruning changes anything any more: a last
    check on the annealed network accepted nothing, the last pruning removed nothing (or
    another one would remove nothing more), and the training loss is flat. A run of fixed
    size ends by its ``schedule``, or is ``pruned``.
    """
    trace = run.trace
    if trace.pruned:
        return "pruned"
    if run.spec.kind == "fixed" or not run.spec.growth.enabled:
        return "schedule"
    model = run.spec.model
    widths_at_cap = bool(run.hidden) and min(run.hidden) >= model.max_hidden
    if widths_at_cap or (model.may_deepen and not run.may_insert):
        return "cap_hit"
    flat = is_flat(trace.evaluations, FLAT_NATS * run.loss_unit)
    settled = trace.confirmed and not trace.shrinking and flat
    return "converged" if settled else "budget"


def is_flat(evaluations: Sequence[Evaluation], least: float) -> bool:
    """Compare the training loss of the last two evaluations with that of two before.

    The very last one may come a few batches after the one before it, and is left out
    then.
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

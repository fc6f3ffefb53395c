"""The one loop of a training run: measure, grow, step, walk down; growing and fixed.

A run is a trunk at the full rate, in which a growing network is checked for growth, and a
descent: rungs in which the rate falls. Before every rung but the first the network is
pruned; the best network of every rung is kept (``RunState.front``).
"""

import copy
import dataclasses
import math
from collections.abc import Callable, Sequence

import torch

from senn_ray.core.errors import DivergedError
from senn_ray.core.records import Evaluation, Progress, Rung, StopReason
from senn_ray.growth.checks import at_cap, check_growth
from senn_ray.growth.magnitude import shrink_by_magnitude
from senn_ray.growth.pruning import next_size, prune_to, rungs_below
from senn_ray.maths.losses import loss
from senn_ray.nets.mlp import dense
from senn_ray.nets.network import checksum
from senn_ray.training.cost import TRAINING, moment_flops
from senn_ray.training.decay import next_decay
from senn_ray.training.evaluate import evaluate
from senn_ray.training.natural import Natural
from senn_ray.training.recovery import verify
from senn_ray.training.run_state import RunState, Trace
from senn_ray.training.schedule import Schedule

OnProgress = Callable[[Progress], None]
BeforeStep = Callable[[RunState], None]
KeepRung = Callable[[RunState], str | None]
"""Writes the network of the rung that has just ended; returns where it lies, if it does."""


def train(
    run: RunState,
    schedule: Schedule,
    on_progress: OnProgress | None,
    *,
    before_step: BeforeStep | None = None,
    keep_rung: KeepRung | None = None,
) -> Trace:
    """Train a run from the step where it is to the end of its schedule.

    Args:
        run: The network and its data; changed in place.
        schedule: What happens when.
        on_progress: Told after every evaluation.
        before_step: Shown the run before every step, when its state is complete.
        keep_rung: Shown the run when a rung has ended.

    Returns:
        The trace of the run, ``run.trace``. The networks are in ``run.front``: each is
        the one of least validation loss of its rung, the same early stopping for all
        kinds of runs. A loss that is no longer finite is a ``DivergedError``.
    """
    trace = run.trace
    # One turn more than there are steps: the last one evaluates and takes no step.
    while True:
        if before_step:
            before_step(run)
        if trace.descent is None:
            _grow(run, schedule)
        shrink_by_magnitude(run, schedule)
        if schedule.evaluates(run.step, trace.descent):
            _evaluate(run, schedule, on_progress)
            trace.pruned = is_pruned(run.spec.cutoffs, trace.evaluations)
            if trace.pruned:
                _keep_rung(run, keep_rung)
                return trace
        if trace.descent is not None and trace.descent.ends(run.step):
            _keep_rung(run, keep_rung)
            if not (schedule.walks and _walk_down(run)):
                return trace
        if trace.descent is None and schedule.trunk_ends(
            run.step, is_settled=trace.is_settled
        ):
            rungs = 1 + rungs_below(run) if schedule.walks else 1
            trace.descent = schedule.descent(run.step, rungs)
        rate = schedule.rate(run.step, trace.descent)
        trace.losses.append(train_step(run, run.step, rate))
        run.step += 1


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


def _grow(run: RunState, schedule: Schedule) -> None:
    """Check for growth, if this is the step for it."""
    trace, step = run.trace, run.step
    growing = run.spec.kind == "grow" and run.spec.growth.enabled
    if not (growing and step in schedule.checks):
        return
    if at_cap(run):
        trace.is_settled = True
        return
    with run.ledger.growing():
        check = check_growth(run, step)
    trace.checks += 1
    trace.is_settled = not check.additions
    trace.current_score = check.current_score
    # What the additions of the check before have come to, next to what was promised.
    trace.expansions = [
        dataclasses.replace(event, loss_after=check.loss)
        if event.loss_after is None
        else event
        for event in trace.expansions
    ] + check.events
    if check.events:
        verify(run)


def _keep_rung(run: RunState, keep_rung: KeepRung | None) -> None:
    """Put the best network of the rung that has ended on the front."""
    trace, cost = run.trace, run.ledger.cost()
    if trace.best is None or run.best is None:
        return
    run.front.append(run.best)
    architecture = run.best.architecture()
    rung = Rung(
        hidden=architecture.hidden,
        params=architecture.num_params(),
        flops=2 * architecture.multiply_adds(),
        val_loss=trace.best.loss,
        val_accuracy=trace.best.accuracy,
        val_balanced_accuracy=trace.best.balanced,
        gap=0.0,
        gap_se=0.0,
        steps=cost.steps,
        sample_visits=cost.sample_visits,
        flops_spent=cost.flops,
        device_s=cost.device_s,
        checksum=checksum(run.best),
    )
    trace.front.append(rung)
    if keep_rung:
        trace.front[-1] = dataclasses.replace(rung, checkpoint=keep_rung(run))


def _walk_down(run: RunState) -> bool:
    """Prune the network to its next size; False if there is none.

    The next rung goes on from the best network of this one.
    """
    limit = run.spec.front.rungs if run.spec.front else 1
    if limit is not None and len(run.front) >= limit:
        return False
    run.net = copy.deepcopy(run.front[-1])
    with run.ledger.growing():
        size = next_size(run)
        removals = [] if size is None else prune_to(run, run.step, size)
    run.trace.expansions += removals
    run.best, run.trace.best = None, None
    if removals:
        verify(run)
    return bool(removals)


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
        lr=schedule.rate(step - 1, trace.descent),
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
    in_walk = schedule.walks and trace.descent is not None
    rung_ends = trace.descent is not None and trace.descent.ends(step)
    # A rung is short: its evaluations look for the best network, and decay moves once.
    if trace.descent is not None and in_walk and rung_ends:
        share = trace.descent.rung_steps / schedule.steps
        run.weight_decay = next_decay(run, quality.loss, share)
    elif not in_walk and not rung_ends:
        share = schedule.trunk_evaluations / schedule.steps
        run.weight_decay = next_decay(run, quality.loss, share)
    if on_progress:
        on_progress(
            Progress(
                run_id=run.spec.run_id,
                step=step,
                max_steps=_expected_steps(run, schedule),
                hidden=evaluation.hidden,
                train_loss=evaluation.train_loss,
                val_loss=evaluation.val_loss,
                phase="trunk" if trace.descent is None else "descent",
                rungs=len(trace.front) + rung_ends,
                least_loss=trace.best.loss,
            )
        )


def _expected_steps(run: RunState, schedule: Schedule) -> int:
    """Estimate the steps of the whole run from the present size."""
    if not schedule.walks:
        return schedule.steps
    rungs = len(run.front) + 1 + rungs_below(run)
    descent = run.trace.descent or schedule.descent(schedule.longest_trunk, rungs)
    return descent.start + rungs * descent.rung_steps


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

    Converged means that growth ended by itself: the last check found nothing that
    examples which the search never saw confirm. A run of fixed size ends by its
    ``schedule``, or is ``pruned``.
    """
    trace, model = run.trace, run.spec.model
    if trace.pruned:
        return "pruned"
    if run.spec.kind == "fixed" or not run.spec.growth.enabled:
        return "schedule"
    top = trace.front[0].hidden
    layers_at_cap = min(run.front[0].layout) >= model.depth_cap
    widths_at_cap = bool(top) and min(top) >= model.max_hidden
    if widths_at_cap or (model.may_deepen and layers_at_cap):
        return "cap_hit"
    return "converged" if trace.is_settled else "budget"

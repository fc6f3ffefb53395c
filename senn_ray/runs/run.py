"""Tasks: plain functions from a specification and data to a record."""

import dataclasses
import time
from pathlib import Path

import torch

from senn_ray.core.errors import DivergedError
from senn_ray.core.records import RunRecord, RunSpec, blank_record
from senn_ray.core.seeds import derive
from senn_ray.data.examples import Examples, RawData
from senn_ray.data.splits import examples, share_gap, split, test_examples
from senn_ray.data.standardisation import inputs_of
from senn_ray.maths.losses import constant_predictor_loss
from senn_ray.nets.make import build, starting_architecture
from senn_ray.nets.network import checksum
from senn_ray.runs.loop import BeforeStep, OnProgress, stop_reason, train
from senn_ray.training import agreement, checkpoint
from senn_ray.training.checkpointer import Checkpointer, CheckpointPolicy
from senn_ray.training.cost import CostLedger
from senn_ray.training.devices import name_of
from senn_ray.training.evaluate import evaluate
from senn_ray.training.natural import Natural
from senn_ray.training.optimizers import AdamW
from senn_ray.training.recovery import Rounds
from senn_ray.training.reducer import Reducer, SingleReducer
from senn_ray.training.run_state import RunState
from senn_ray.training.schedule import Schedule, make_schedule
from senn_ray.training.trace import Quality


def train_run(
    spec: RunSpec,
    raw: RawData,
    *,
    reducer: Reducer | None = None,
    on_progress: OnProgress | None = None,
    device: str = "cpu",
    checkpoints: CheckpointPolicy | None = None,
) -> RunRecord:
    """Train one network, growing or fixed, from scratch to its record.

    A run that was interrupted goes on from its newest checkpoint. The test part is
    read once, at the end, and only if the specification asks for it.

    Args:
        spec: What to train.
        raw: The data set.
        reducer: The gang; a gang of one if none is given.
        on_progress: Told after every evaluation.
        device: Where tensors live.
        checkpoints: How often the run under way is kept beside its final network.

    Returns:
        The record; a run that diverged says so in its state.
    """
    started = time.time()
    run = prepare(spec, raw, reducer=reducer or SingleReducer(), device=device)
    checkpointer = Checkpointer(spec, checkpoints or CheckpointPolicy())
    rounds = Rounds(run, checkpointer.load())

    def before_step(run: RunState) -> None:
        rounds.before_step(run)
        checkpointer.before_step(run)

    def work() -> RunRecord:
        try:
            return _train(run, raw, on_progress, before_step, started)
        except DivergedError as error:
            return _diverged(run, str(error), started)

    record = rounds.carry_through(work)
    checkpointer.clear()
    return dataclasses.replace(record, interruptions=tuple(checkpointer.notes))


def _train(
    run: RunState,
    raw: RawData,
    on_progress: OnProgress | None,
    before_step: BeforeStep,
    started: float,
) -> RunRecord:
    """Train a run from where it is to its record."""
    train(run, _schedule(run), on_progress, before_step=before_step)
    qualities = _measure(run, raw)
    if run.spec.checkpoint and run.reducer.rank == 0:
        checkpoint.save(run.net, Path(run.spec.checkpoint), inputs_of(raw))
    # Nobody is done before everything is on disk, and the same for all.
    agreement.verify(run)
    return _complete(run, qualities, started)


def _schedule(run: RunState) -> Schedule:
    spec = run.spec
    return make_schedule(spec.train, spec.growth, len(run.train))


def _measure(run: RunState, raw: RawData) -> tuple[Quality, Quality | None]:
    """Measure a finished run on training and, if it is asked for, on test examples."""
    train = evaluate(run, run.net, run.train)
    if not run.spec.evaluate_test:
        return train, None
    device, precision = run.train.shift.device, run.spec.train.precision
    part = _on(test_examples(raw), str(device), precision)
    return train, evaluate(run, run.net, part)


def prepare(
    spec: RunSpec,
    raw: RawData,
    *,
    reducer: Reducer,
    device: str,
) -> RunState:
    """Set up a run: its share of the data, a fresh network and its optimiser.

    Args:
        spec: What to train.
        raw: The data set.
        reducer: The gang.
        device: Where tensors live.

    Returns:
        The run before its first step.
    """
    precision = spec.train.precision
    train, val = (
        _on(part, device, precision) for part in examples(raw, split(raw, spec.data))
    )
    architecture = starting_architecture(spec.model, raw.feature_shape, raw.num_outputs)
    generator = torch.Generator().manual_seed(derive(spec.seed, "init"))
    net = build(architecture, generator).to(device, train.shift.dtype)
    optimizer = (
        Natural(net, spec.train, raw.task, reducer)
        if spec.train.optimizer == "natural"
        else AdamW(net)
    )
    return RunState(
        spec=spec,
        net=net,
        optimizer=optimizer,
        train=train,
        val=val,
        task=raw.task,
        num_outputs=raw.num_outputs,
        reducer=reducer,
        ledger=CostLedger(reducer.size),
        births=[[0] * width for width in net.architecture().hidden],
        weight_decay=spec.train.weight_decay,
        loss_unit=1.0 if raw.task == "classification" else _variance(train.y),
    )


def _variance(targets: torch.Tensor) -> float:
    """Sum the variances of the targets: a regression's unit of loss."""
    total = targets.double().var(0, correction=0).sum().item()
    return total or 1.0


def _complete(
    run: RunState, qualities: tuple[Quality, Quality | None], started: float
) -> RunRecord:
    train, test = qualities
    trace, best = run.trace, run.trace.best
    return dataclasses.replace(
        _begun(run, started),
        state="pruned" if trace.pruned else "complete",
        stop_reason=stop_reason(run, trace),
        train_loss=train.loss,
        val_loss=best.loss if best else None,
        val_accuracy=best.accuracy if best else None,
        test_loss=test.loss if test else None,
        test_accuracy=test.accuracy if test else None,
        checks=trace.checks,
        evaluations=tuple(trace.evaluations),
        expansions=tuple(trace.expansions),
        checkpoint=run.spec.checkpoint,
        checksum=checksum(run.net),
        guess_val_loss=constant_predictor_loss(
            run.train.y, run.val.y, run.task, run.num_outputs
        ),
    )


def _diverged(run: RunState, error: str, started: float) -> RunRecord:
    return dataclasses.replace(
        _begun(run, started), state="diverged", stop_reason="diverged", error=error
    )


def _begun(run: RunState, started: float) -> RunRecord:
    """Return what is known of a run however it ends: its size, data and cost so far."""
    return dataclasses.replace(
        blank_record(run.spec),
        workers=run.reducer.size,
        hidden=run.hidden,
        params=run.num_params,
        n_train=len(run.train),
        n_val=len(run.val),
        val_share_gap=share_gap(run.train.y, run.val.y),
        wall_s=run.ledger.wall_s(),
        cost=run.ledger.cost(),
        device_name=name_of(run.train.shift.device),
        started_utc_s=started,
    )


def _on(part: Examples, device: str, precision: str) -> Examples:
    """Move a part to a device; its features are made precise batch by batch."""
    return part.to(device, getattr(torch, precision))

"""Tasks: plain functions from a specification and data to a record."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import torch

from senn_ray.core.errors import DivergedError
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.core.seeds import derive
from senn_ray.data.examples import Examples, RawData
from senn_ray.data.inputs import inputs_of
from senn_ray.data.shares import share_gap
from senn_ray.data.splits import examples, split, test_examples
from senn_ray.maths.losses import guess
from senn_ray.nets.architectures import plan
from senn_ray.nets.make import build
from senn_ray.nets.network import checksum
from senn_ray.runs.loop import BeforeStep, OnProgress, run, stop_reason
from senn_ray.training import agreement, checkpoint
from senn_ray.training.checkpointer import Keeper, Keeping
from senn_ray.training.cost import Ledger
from senn_ray.training.devices import name_of
from senn_ray.training.evaluate import evaluate
from senn_ray.training.natural import Natural
from senn_ray.training.optimizers import AdamW
from senn_ray.training.recovery import Rounds
from senn_ray.training.reducer import Reducer, SingleReducer
from senn_ray.training.run_state import Replica
from senn_ray.training.schedule import Schedule, make_schedule
from senn_ray.training.trace import Quality


def train_run(
    spec: RunSpec,
    raw: RawData,
    *,
    reducer: Reducer | None = None,
    on_progress: OnProgress | None = None,
    device: str = "cpu",
    keeping: Keeping | None = None,
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
        keeping: How often the run under way is kept beside its final network.

    Returns:
        The record; a run that diverged says so in its state.
    """
    started = time.time()
    replica = prepare(spec, raw, reducer=reducer or SingleReducer(), device=device)
    keeper = Keeper(spec, keeping or Keeping())
    rounds = Rounds(replica, keeper.load())

    def before_step(replica: Replica) -> None:
        rounds.before_step(replica)
        keeper.before_step(replica)

    def work() -> RunRecord:
        try:
            return _train(replica, raw, on_progress, before_step, started)
        except DivergedError as error:
            return _diverged(replica, str(error), started)

    record = rounds.carry_through(work)
    keeper.clear()
    return dataclasses.replace(record, interruptions=tuple(keeper.notes))


def _train(
    replica: Replica,
    raw: RawData,
    on_progress: OnProgress | None,
    before_step: BeforeStep,
    started: float,
) -> RunRecord:
    """Train a replica from where it is to its record."""
    run(replica, _schedule(replica), on_progress, before_step=before_step)
    qualities = _measure(replica, raw)
    if replica.spec.checkpoint and replica.reducer.rank == 0:
        checkpoint.save(replica.net, Path(replica.spec.checkpoint), inputs_of(raw))
    # Nobody is done before everything is on disk, and the same for all.
    agreement.verify(replica)
    return _complete(replica, qualities, started)


def _schedule(replica: Replica) -> Schedule:
    spec = replica.spec
    return make_schedule(spec.train, spec.growth, len(replica.train))


def _measure(replica: Replica, raw: RawData) -> tuple[Quality, Quality | None]:
    """Measure a finished run on training and, if it is asked for, on test examples."""
    train = evaluate(replica, replica.net, replica.train)
    if not replica.spec.evaluate_test:
        return train, None
    device, precision = replica.train.shift.device, replica.spec.train.precision
    part = _on(test_examples(raw), str(device), precision)
    return train, evaluate(replica, replica.net, part)


def prepare(
    spec: RunSpec,
    raw: RawData,
    *,
    reducer: Reducer,
    device: str,
) -> Replica:
    """Set up a run: its share of the data, a fresh network and its optimiser.

    Args:
        spec: What to train.
        raw: The data set.
        reducer: The gang.
        device: Where tensors live.

    Returns:
        A replica before its first step.
    """
    precision = spec.train.precision
    train, val = (
        _on(part, device, precision) for part in examples(raw, split(raw, spec.data))
    )
    architecture = plan(spec.model, raw.feature_shape, raw.num_outputs)
    generator = torch.Generator().manual_seed(derive(spec.seed, "init"))
    net = build(architecture, generator).to(device, train.shift.dtype)
    optimizer = (
        Natural(net, spec.train, raw.task, reducer)
        if spec.train.optimizer == "natural"
        else AdamW(net)
    )
    return Replica(
        spec=spec,
        net=net,
        optimizer=optimizer,
        train=train,
        val=val,
        task=raw.task,
        num_outputs=raw.num_outputs,
        reducer=reducer,
        ledger=Ledger(reducer.size),
        births=[[0] * width for width in net.architecture().hidden],
        weight_decay=spec.train.weight_decay,
        loss_unit=1.0 if raw.task == "classification" else _variance(train.y),
    )


def _variance(targets: torch.Tensor) -> float:
    """Sum the variances of the targets: a regression's unit of loss."""
    total = targets.double().var(0, correction=0).sum().item()
    return total or 1.0


def _complete(
    replica: Replica, qualities: tuple[Quality, Quality | None], started: float
) -> RunRecord:
    train, test = qualities
    trace, best = replica.trace, replica.trace.best
    return RunRecord(
        **_identity(replica, started),
        state="pruned" if trace.pruned else "complete",
        stop_reason=stop_reason(replica, trace),
        train_loss=train.loss,
        val_loss=best.loss if best else None,
        val_accuracy=best.accuracy if best else None,
        test_loss=test.loss if test else None,
        test_accuracy=test.accuracy if test else None,
        checks=trace.checks,
        evaluations=tuple(trace.evaluations),
        expansions=tuple(trace.expansions),
        checkpoint=replica.spec.checkpoint,
        checksum=checksum(replica.net),
        guess_val_loss=guess(
            replica.train.y, replica.val.y, replica.task, replica.num_outputs
        ),
    )


def _diverged(replica: Replica, error: str, started: float) -> RunRecord:
    return RunRecord(
        **_identity(replica, started),
        state="diverged",
        stop_reason="diverged",
        train_loss=None,
        val_loss=None,
        val_accuracy=None,
        test_loss=None,
        test_accuracy=None,
        checks=0,
        error=error,
    )


def _identity(replica: Replica, started: float) -> dict[str, Any]:
    """Return the fields that every record of a run has."""
    spec = replica.spec
    return {
        "run_id": spec.run_id,
        "arm": spec.arm,
        "kind": spec.kind,
        "study": spec.study,
        "trial": spec.trial,
        "dataset": spec.data.dataset,
        "per_class": spec.data.per_class,
        "seed": spec.seed,
        "workers": replica.reducer.size,
        "hidden_start": spec.model.hidden,
        "hidden": replica.hidden,
        "params": replica.num_params,
        "n_train": len(replica.train),
        "n_val": len(replica.val),
        "val_share_gap": share_gap(replica.train.y, replica.val.y),
        "wall_s": replica.ledger.wall_s(),
        "cost": replica.ledger.cost(),
        "device_name": name_of(replica.train.shift.device),
        "started_utc_s": started,
        "lr": spec.train.lr,
        "weight_decay": spec.train.weight_decay,
    }


def _on(part: Examples, device: str, precision: str) -> Examples:
    """Move a part to a device; its features are made precise batch by batch."""
    dtype = getattr(torch, precision)
    precise = {"shift": part.shift.to(dtype), "scale": part.scale.to(dtype)}
    if part.y.is_floating_point():
        precise["y"] = part.y.to(dtype)
    tensors = {**vars(part), **precise}
    return Examples(**{name: tensor.to(device) for name, tensor in tensors.items()})

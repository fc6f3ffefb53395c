"""One run: from its specification and the data to its record."""

import dataclasses
import math
import time
from pathlib import Path

import torch

from senn_ray.core.errors import DivergedError
from senn_ray.core.fronts import best, choose
from senn_ray.core.records import Rung, RunRecord, RunSpec, blank_record
from senn_ray.core.seeds import derive
from senn_ray.data.examples import RawData
from senn_ray.data.splits import examples, share_gap, split, test_examples
from senn_ray.data.standardisation import inputs_of
from senn_ray.maths.linalg import NotFiniteError
from senn_ray.maths.losses import constant_predictor_loss
from senn_ray.nets.make import build, starting_architecture
from senn_ray.runs.front import with_gaps
from senn_ray.runs.loop import KeepRung, OnProgress, stop_reason, train
from senn_ray.training.checkpoints import Checkpointer, CheckpointPolicy, save_network
from senn_ray.training.cost import CostLedger, device_name
from senn_ray.training.decay import starting_decay
from senn_ray.training.evaluate import evaluate
from senn_ray.training.natural import Natural
from senn_ray.training.optimizers import AdamW
from senn_ray.training.recovery import Rounds, verify
from senn_ray.training.reducer import Reducer, SingleReducer
from senn_ray.training.run_state import RunState
from senn_ray.training.schedule import make_schedule

RUNGS = "rungs"
"""Folder of the rungs' networks, beside the found one."""


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
        # Begun again from a kept state when a replica is lost: all it uses is in ``run``.
        try:
            schedule = make_schedule(
                spec.train, spec.growth, spec.front, len(run.train)
            )
            train(
                run,
                schedule,
                on_progress,
                before_step=before_step,
                keep_rung=rung_keeper(raw),
            )
            return _finish(run, raw, started)
        except (DivergedError, NotFiniteError) as error:
            told = str(error)
            if isinstance(error, NotFiniteError):
                told += (
                    f" at step {run.step} (train.lr {spec.train.lr}); lower train.lr"
                )
            return dataclasses.replace(
                _begun(run, started),
                state="diverged",
                stop_reason="diverged",
                error=told,
            )

    record = rounds.carry_through(work)
    checkpointer.clear()
    return dataclasses.replace(record, interruptions=tuple(checkpointer.notes))


def prepare(spec: RunSpec, raw: RawData, *, reducer: Reducer, device: str) -> RunState:
    """Set up a run: its share of the data, a fresh network and its optimiser.

    Returns:
        The run before its first step.
    """
    dtype = getattr(torch, spec.train.precision)
    train, val = (
        part.to(device, dtype) for part in examples(raw, split(raw, spec.data))
    )
    architecture = starting_architecture(spec.model, raw.feature_shape, raw.num_outputs)
    generator = torch.Generator().manual_seed(derive(spec.seed, "init"))
    net = build(architecture, generator).to(device, train.shift.dtype)
    optimizer = (
        Natural(net, spec.train, raw.task, reducer)
        if spec.train.optimizer == "natural"
        else AdamW(net)
    )
    loss_unit = 1.0
    if raw.task == "regression":
        # The variance of the targets; one, if they are constant.
        loss_unit = train.y.double().var(0, correction=0).sum().item() or 1.0
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
        weight_decay=starting_decay(
            spec.train, math.prod(raw.feature_shape), len(train)
        ),
        loss_unit=loss_unit,
    )


def rung_keeper(raw: RawData) -> KeepRung:
    """Return what writes the rungs of a run that is walked down, beside its network."""

    def keep(run: RunState) -> str | None:
        spec, rung = run.spec, run.trace.front[-1]
        if not spec.checkpoint or spec.front is None:
            return None
        # All smaller rungs are to fit too: together they are a geometric series.
        size_mb = rung.params * run.net.tensors()[0].element_size() / 1e6
        if size_mb / (1 - spec.front.ratio) > spec.front.checkpoint_mb:
            return None
        path = Path(spec.checkpoint).parent / RUNGS / f"{len(run.front):02d}.pt"
        if run.reducer.rank == 0:
            save_network(run.front[-1], path, inputs_of(raw))
        return str(path)

    return keep


def _finish(run: RunState, raw: RawData, started: float) -> RunRecord:
    """Choose the found size of a finished run, write its network, make its record."""
    spec, trace = run.spec, run.trace
    front = with_gaps(run)
    found = choose(front, spec.front.choose if spec.front else "best")
    run.net = run.front[found]
    trained = evaluate(run, run.net, run.train)
    if spec.evaluate_test:
        front = _tested(run, raw, front, {found, best(front)})
    if spec.checkpoint and run.reducer.rank == 0:
        save_network(run.net, Path(spec.checkpoint), inputs_of(raw))
    # No replica is done before the network is on disk, and the same for all: until this
    # message arrives, one that is lost can still be replaced.
    verify(run)
    rung = front[found]
    return dataclasses.replace(
        _begun(run, started),
        state="pruned" if trace.pruned else "complete",
        stop_reason=stop_reason(run),
        train_loss=trained.loss,
        val_loss=rung.val_loss,
        val_accuracy=rung.val_accuracy,
        val_balanced_accuracy=rung.val_balanced_accuracy,
        test_loss=rung.test_loss,
        test_accuracy=rung.test_accuracy,
        test_balanced_accuracy=rung.test_balanced_accuracy,
        checks=trace.checks,
        evaluations=tuple(trace.evaluations),
        expansions=tuple(trace.expansions),
        checkpoint=spec.checkpoint,
        checksum=rung.checksum,
        guess_val_loss=constant_predictor_loss(
            run.train.y, run.val.y, run.task, run.num_outputs
        ),
        front=front,
        found=found,
    )


def _tested(
    run: RunState, raw: RawData, front: tuple[Rung, ...], places: set[int]
) -> tuple[Rung, ...]:
    """Measure the chosen rungs on the test part; it is read here and nowhere else."""
    device, dtype = run.train.shift.device, getattr(torch, run.spec.train.precision)
    part, found = test_examples(raw).to(str(device), dtype), list(front)
    for place in sorted(places):
        quality = evaluate(run, run.front[place], part)
        found[place] = dataclasses.replace(
            front[place],
            test_loss=quality.loss,
            test_accuracy=quality.accuracy,
            test_balanced_accuracy=quality.balanced,
        )
    return tuple(found)


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
        device_name=device_name(run.train.shift.device),
        started_utc_s=started,
    )

"""Records: what crosses a process or the disk. Plain frozen data, no tensors.

``to_json`` keeps every record exactly (floats too), so the journal is the truth and
every table can be rebuilt from it.
"""

from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, get_args

from pydantic import TypeAdapter

from senn_ray.config import (
    DataConfig,
    FrontConfig,
    GrowthConfig,
    ModelConfig,
    TrainConfig,
)

Kind = Literal["grow", "fixed"]
GrowthKind = Literal["widen", "insert_layer"]
GROWN = frozenset(get_args(GrowthKind))
State = Literal["complete", "diverged", "failed", "pruned"]
FAULTY = frozenset({"diverged", "failed"})
"""States of runs that reached nothing; a pruned run is as it should be."""
StopReason = Literal[
    "converged", "budget", "cap_hit", "schedule", "diverged", "error", "pruned"
]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSpec:
    """One training run to do: everything a worker needs but the data."""

    run_id: str
    arm: str
    kind: Kind
    seed: int
    data: DataConfig
    model: ModelConfig
    train: TrainConfig
    growth: GrowthConfig
    front: FrontConfig | None = None
    """How the trained network is walked down; without it, it is annealed as it is."""
    shrink_to: tuple[int, ...] = ()
    """Widths to which hidden layers are pruned by magnitude in mid-schedule, if any."""
    study: int = 0
    trial: int = 0
    width: int | None = None
    """The width, if that is what its arm asks for."""
    workers: int = 1
    evaluate_test: bool = False
    checkpoint: str | None = None
    """Absolute path of the final network, ``weights_only``-loadable; or nothing."""
    cutoffs: tuple[float | None, ...] = ()
    """By evaluation: the run is pruned if its least validation loss is above."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """The network at one moment of a run (one row of ``steps.parquet``)."""

    step: int
    sample_visits: int
    device_s: float
    train_loss: float
    val_loss: float
    val_accuracy: float | None
    lr: float
    hidden: tuple[int, ...]
    params: int
    current_score: float | None = None
    weight_decay: float | None = None
    """The weight decay of the steps before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expansion:
    """One proposal (accepted or rejected) or one removal.

    Scores and gains are in units of twice the loss (nats): a gain of 2x promises a
    drop of x. ``removal_cost`` is in nats.
    """

    step: int
    kind: GrowthKind | Literal["rejected", "prune", "remove_layer"]
    site: int
    score_gain: float | None = None
    relative_gain: float | None = None
    current_score: float | None = None
    heldout_gain: float | None = None
    heldout_z: float | None = None
    removal_cost: float | None = None
    hidden_before: tuple[int, ...]
    hidden_after: tuple[int, ...]
    loss_before: float | None = None
    loss_after: float | None = None
    """Training loss on the decision examples, just before, and at the next check."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """A network on the front of a run (one row of ``fronts.parquet``)."""

    hidden: tuple[int, ...]
    params: int
    flops: int
    """Of one example's forward pass."""
    val_loss: float
    """The least of its evaluations."""
    val_accuracy: float | None
    gap: float
    """Validation loss above that of the run's best rung: a mean over examples."""
    gap_se: float
    """Standard error of the gap, from differences example by example."""
    steps: int
    """Steps of the run until it ended, as all costs here."""
    sample_visits: int
    flops_spent: float
    device_s: float
    checkpoint: str | None = None
    checksum: str | None = None
    val_balanced_accuracy: float | None = None
    test_loss: float | None = None
    """On the test part, which is read for the best and the found rung only."""
    test_accuracy: float | None = None
    test_balanced_accuracy: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a run has used; curvature, scoring and linear algebra included."""

    runs: int = 1
    steps: int = 0
    sample_visits: int = 0
    flops: float = 0.0
    device_s: float = 0.0
    """Seconds times replicas."""
    growth_s: float = 0.0
    """Share of ``device_s`` spent on statistics, proposals and surgery."""
    wasted_device_s: float = 0.0
    """Spent in vain on failures of the infrastructure; not part of ``device_s``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """The outcome of one training run."""

    run_id: str
    arm: str
    kind: Kind
    study: int
    trial: int
    state: State
    stop_reason: StopReason
    dataset: str
    per_class: int | Literal["all"]
    seed: int
    workers: int
    hidden_start: tuple[int, ...]
    hidden: tuple[int, ...]
    params: int
    n_train: int
    train_loss: float | None
    val_loss: float | None
    """The least validation loss of a network of the final size: the run's score."""
    val_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None
    wall_s: float
    checks: int
    cost: Cost
    evaluations: tuple[Evaluation, ...] = ()
    expansions: tuple[Expansion, ...] = ()
    checkpoint: str | None = None
    checksum: str | None = None
    """SHA-256 of the architecture and the parameters."""
    device_name: str = "cpu"
    started_utc_s: float = 0.0
    error: str | None = None
    interruptions: tuple[str, ...] = ()
    """What disturbed the run, and how it went on; one line each."""
    lr: float | None = None
    weight_decay: float | None = None
    guess_val_loss: float | None = None
    """Validation loss of a constant predictor that knows the training targets."""
    n_val: int | None = None
    width: int | None = None
    """The width, if that is what its arm asked for."""
    val_share_gap: float | None = None
    """Total variation between the class shares of training and validation examples."""
    val_balanced_accuracy: float | None = None
    """Mean of the recalls of the classes, as if all had as many examples."""
    test_balanced_accuracy: float | None = None
    front: tuple[Rung, ...] = ()
    """Its networks, largest first; of runs that are not walked down, one."""
    found: int | None = None
    """The place of the found rung in the front: sizes and losses above are its."""


def blank_record(spec: RunSpec) -> RunRecord:
    """Return the record of a run of which no more is known than its specification.

    All records are made from it by ``dataclasses.replace``: those of runs that ended by
    themselves (``runs/run.py``), and those of runs that died (``search/executor.py``).
    """
    return RunRecord(
        run_id=spec.run_id,
        arm=spec.arm,
        kind=spec.kind,
        study=spec.study,
        trial=spec.trial,
        width=spec.width,
        state="failed",
        stop_reason="error",
        dataset=spec.data.dataset,
        per_class=spec.data.per_class,
        seed=spec.seed,
        workers=spec.workers,
        hidden_start=spec.model.hidden,
        hidden=spec.model.hidden,
        params=0,
        n_train=0,
        train_loss=None,
        val_loss=None,
        val_accuracy=None,
        test_loss=None,
        test_accuracy=None,
        wall_s=0.0,
        checks=0,
        cost=Cost(),
        lr=spec.train.lr,
        weight_decay=spec.train.weight_decay,
    )


def order_of(record: RunRecord) -> tuple[str, int, int, int]:
    """Return the key by which runs are sorted: arm, examples, width or study, trial."""
    examples = 0 if record.per_class == "all" else record.per_class
    return record.arm, examples, record.width or record.study, record.trial


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """A sign of life from a run in progress."""

    run_id: str
    step: int
    max_steps: int
    hidden: tuple[int, ...]
    train_loss: float
    val_loss: float
    phase: Literal["trunk", "descent"] = "trunk"
    rungs: int = 0
    """Rungs that have ended."""
    least_loss: float | None = None
    """The least validation loss of the present rung; of the one that has just ended, the
    loss that it has on the front."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """What the accepted proposals of one growth check promised, and what came of it."""

    step: int
    additions: int
    promised_drop: float
    """Half the sum of their score gains (nats)."""
    realised_drop: float
    """The drop of the loss on the decision examples until the next check (nats)."""


def promises_of(record: RunRecord) -> list[Promise]:
    """List the growth checks of a run whose promise and outcome are both known.

    Args:
        record: The run. The proposals of one check share its outcome, so they are one.
    """
    found: list[Promise] = []
    accepted = [e for e in record.expansions if e.kind in GROWN]
    for step, group in groupby(accepted, key=lambda e: e.step):
        added = list(group)
        gains = [e.score_gain for e in added if e.score_gain is not None]
        before, after = added[0].loss_before, added[-1].loss_after
        if len(gains) == len(added) and before is not None and after is not None:
            promise = Promise(
                step=step,
                additions=len(added),
                promised_drop=sum(gains) / 2,
                realised_drop=before - after,
            )
            found.append(promise)
    return found


def to_json(record: Any) -> dict[str, Any]:
    """Turn a record into plain JSON values."""
    return TypeAdapter(type(record)).dump_python(record, mode="json")

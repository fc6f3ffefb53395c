"""The state of a run: its network and everything that trains it, on one replica."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from senn_ray.core.records import Evaluation, Expansion, Rung, RunSpec
from senn_ray.core.seeds import derive
from senn_ray.data.examples import Examples
from senn_ray.maths.losses import Task
from senn_ray.maths.proposals import Whitening
from senn_ray.maths.score import Reduce
from senn_ray.nets.mlp import MLP
from senn_ray.nets.network import Network
from senn_ray.training.cost import CostLedger
from senn_ray.training.natural import Natural
from senn_ray.training.optimizers import AdamW
from senn_ray.training.reducer import Reducer, sum_all
from senn_ray.training.schedule import Descent


@dataclass(frozen=True)
class Quality:
    """How good a network is."""

    loss: float
    accuracy: float | None
    """Nothing for a regression."""
    balanced: float | None = None
    """Balanced accuracy: the mean of the recalls of the classes that are there."""


@dataclass
class Trace:
    """What a run has been through so far."""

    evaluations: list[Evaluation] = field(default_factory=list)
    expansions: list[Expansion] = field(default_factory=list)
    checks: int = 0
    is_settled: bool = False
    """Whether the last growth check accepted nothing."""
    descent: Descent | None = None
    """The part after the trunk; nothing while the run is in it."""
    front: list[Rung] = field(default_factory=list)
    """The rungs that have ended; what they are worth beside each other is measured when
    all have."""
    current_score: float | None = None
    best: Quality | None = None
    """Quality of the best network so far, of the present rung, on validation examples."""
    pruned: bool = False
    """Whether the run ended early, because others were better at the same step."""
    losses: list[float] = field(default_factory=list)
    """Losses of the batches since the last evaluation."""

    def state(self) -> dict[str, Any]:
        """Return the trace as plain values."""
        return dataclasses.asdict(self)


def trace_of(state: dict[str, Any]) -> Trace:
    """Rebuild a trace from a copy of what ``Trace.state`` gave."""
    best, descent = state["best"], state["descent"]
    return Trace(**{
        **state,
        "evaluations": [Evaluation(**values) for values in state["evaluations"]],
        "expansions": [Expansion(**values) for values in state["expansions"]],
        "front": [Rung(**values) for values in state["front"]],
        "best": None if best is None else Quality(**best),
        "descent": None if descent is None else Descent(**descent),
        "losses": list(state["losses"]),
    })


@dataclass
class RunState:
    """One run on one replica. All replicas of its gang hold the same network."""

    spec: RunSpec
    net: Network
    optimizer: AdamW | Natural
    train: Examples
    val: Examples
    task: Task
    num_outputs: int
    reducer: Reducer
    ledger: CostLedger
    weight_decay: float
    """Weight decay of the steps from now on."""
    loss_unit: float = 1.0
    """What thresholds on the loss are multiples of: a nat, or for a regression the
    variance of the targets."""
    best: Network | None = None
    """The network as it was at the best evaluation of the present rung (of the trunk,
    and the first rung); growth changes it alike, so it always has the present size."""
    front: list[Network] = field(default_factory=list)
    """The networks of ``trace.front``."""
    whitening: Whitening | None = None
    """Coordinates of the network's inputs: measured by the first decision, and kept."""
    step: int = 0
    """The next step to take."""
    trace: Trace = field(default_factory=Trace)

    @property
    def hidden(self) -> tuple[int, ...]:
        """The widths of the hidden layers now."""
        return self.net.architecture().hidden

    @property
    def num_params(self) -> int:
        """The number of parameters now."""
        return self.net.architecture().num_params()

    @property
    def multiply_adds(self) -> int:
        """The multiply-adds of one example's forward pass now."""
        return self.net.architecture().multiply_adds()

    @property
    def may_insert_dense(self) -> bool:
        """Whether a hidden layer may be inserted into a multi-layer perceptron."""
        return isinstance(self.net, MLP) and self.may_insert

    @property
    def may_insert(self) -> bool:
        """Whether a stage of the network has fewer hidden layers than the cap."""
        return min(self.net.layout) < self.spec.model.depth_cap

    @property
    def reduce(self) -> Reduce:
        """Sum a list of tensors over the gang."""
        return lambda tensors: sum_all(self.reducer, tensors)

    def generator(self, *stream: object) -> torch.Generator:
        """Start a named stream of random numbers, the same on all replicas."""
        return torch.Generator().manual_seed(derive(self.spec.seed, *stream))

    def batches(self, indices: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield training examples in order, some at a time."""
        for part in indices.split(self.net.batch_size):
            yield self.train.batch(part)

    # Strided, and of indices that all replicas drew alike: a shard follows from rank and
    # size alone, so a gang of another size goes on with the same batches and decisions.
    def shard(self, indices: Tensor) -> Tensor:
        """Take this replica's part of some indices that all replicas agree on."""
        return indices[self.reducer.rank :: self.reducer.size]

    def own(self, places: Tensor) -> Tensor:
        """Find those places of a list that ``shard`` gave to this replica.

        Returns:
            The same examples' places in this replica's part.
        """
        mine = places % self.reducer.size == self.reducer.rank
        return places[mine] // self.reducer.size

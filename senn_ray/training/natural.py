"""Natural-gradient steps with Kronecker factors (K-FAC, Martens & Grosse 2015)."""

from typing import Any

import torch
from torch import Tensor

from senn_ray.config import TrainConfig
from senn_ray.core.errors import ConfigError
from senn_ray.maths.kronecker import damped_cholesky, natural_gradient
from senn_ray.maths.linalg import require_finite
from senn_ray.maths.losses import Task
from senn_ray.nets.capture import capture
from senn_ray.nets.mlp import dense
from senn_ray.nets.network import Network
from senn_ray.nets.surgery import Prune, Replace, Surgery, Widen
from senn_ray.training.reducer import Reducer, sum_all

FACTOR_EVERY = 10
"""Steps between measurements of the factors."""
SHARED_ABOVE = 512
"""Size of a factor from which a gang shares the work: below, messages cost more."""
FACTOR_DECAY = 0.9
"""Weight of the past in the running factors."""


class Natural:
    """Precondition with running Kronecker factors; clip by KL; momentum; decay.

    The step of layer l is G⁻¹ dW A⁻¹ with damping split between the factors by their
    mean eigenvalues. Its length is limited so that the predicted change of the
    predictive distribution, lr² Σ n·dW, stays below ``kl_clip``. The running factors
    carry their weight, so they are unbiased from the first measurement on.
    """

    def __init__(
        self, net: Network, config: TrainConfig, task: Task, reducer: Reducer
    ) -> None:
        self.config = config
        self.task: Task = task
        self.reducer = reducer
        self.velocity = [torch.zeros_like(w.detach()) for w in net.tensors()]
        self.A = [w.new_zeros(w.shape[1], w.shape[1]) for w in self.velocity]
        self.G = [w.new_zeros(len(w), len(w)) for w in self.velocity]
        self.weight = 0.0
        self.steps = 0
        self._factors: list[tuple[Tensor, Tensor]] = []

    def observe(self, net: Network, x: Tensor, y: Tensor, batch_size: int) -> bool:
        """Measure the factors on a batch, when it is time to.

        Args:
            net: The network.
            x: This replica's features of the batch [n, d].
            y: Their targets.
            batch_size: Examples in the whole batch.

        Returns:
            Whether the factors were measured.
        """
        due = self.steps % FACTOR_EVERY == 0 or not self._factors
        if due:
            layers = capture(dense(net), x, y, self.task, with_ridge=False).layers
            moments = [layer.inputs.T @ layer.inputs for layer in layers]
            sums = sum_all(
                self.reducer, [*moments, *(layer.curvature for layer in layers)]
            )
            keep = FACTOR_DECAY if self.weight else 0.0
            self.weight = keep * self.weight + 1
            for running, new in zip([*self.A, *self.G], sums, strict=True):
                running.mul_(keep).add_(new, alpha=1 / batch_size)
            self._factors = self._factorise_all()
        return due

    def _factorise_all(self) -> list[tuple[Tensor, Tensor]]:
        """Factorise every layer; large ones once in the gang, not on each replica."""
        # On all replicas alike: one that gave up alone would leave the others waiting.
        require_finite(*self.A, *self.G)
        costs = [float(len(A) ** 3 + len(G) ** 3) for A, G in self._pairs()]
        alone = self.reducer.size == 1 or max(costs) < SHARED_ABOVE**3
        ranks = assign(costs, 1 if alone else self.reducer.size)
        factors = [
            self._factorise(A / self.weight, G / self.weight)
            if alone or rank == self.reducer.rank
            else (torch.zeros_like(A), torch.zeros_like(G))
            for rank, (A, G) in zip(ranks, self._pairs(), strict=True)
        ]
        if alone:
            return factors
        flat = sum_all(self.reducer, [factor for both in factors for factor in both])
        return list(zip(flat[::2], flat[1::2], strict=True))

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self.A, self.G, strict=True))

    def _factorise(self, A: Tensor, G: Tensor) -> tuple[Tensor, Tensor]:
        root = self.config.damping**0.5
        tiny = torch.finfo(A.dtype).eps
        split = ((A.trace() / len(A)) / (G.trace() / len(G) + tiny) + tiny).sqrt()
        return damped_cholesky(A, root * split), damped_cholesky(G, root / split)

    @torch.no_grad()
    def step(
        self, net: Network, gradients: list[Tensor], lr: float, decay: float
    ) -> None:
        """Take one step."""
        steps = [
            natural_gradient(g, chol_A, chol_G)
            for g, (chol_A, chol_G) in zip(gradients, self._factors, strict=True)
        ]
        power = sum((n * g).sum() for n, g in zip(steps, gradients, strict=True))
        length = lr**2 * float(power) + torch.finfo(torch.float32).tiny
        scale = min(1.0, (self.config.kl_clip / length) ** 0.5)
        for W, velocity, n in zip(net.tensors(), self.velocity, steps, strict=True):
            velocity.mul_(self.config.momentum).add_(n, alpha=scale)
            W[:, :-1] *= 1 - lr * decay
            W.add_(velocity, alpha=-lr)
        self.steps += 1

    def reshape(self, change: Surgery) -> None:
        """Carry velocity and factors; the new neuron's part starts at zero.

        The factors are measured again before the next step. Their averages share one
        weight, so that they stay positive semi-definite; the new neuron's moments are
        too small until the average has run over the time before it.
        """
        self.velocity = change.reshape(self.velocity)
        site = change.site
        match change:
            case Widen():
                self.G[site] = _insert(self.G[site], len(self.G[site]))
                inputs = self.A[site + 1]
                self.A[site + 1] = _insert(inputs, len(inputs) - 1)
            case Prune():
                self.G[site] = _delete(self.G[site], change.index)
                self.A[site + 1] = _delete(self.A[site + 1], change.index)
            case Replace():
                raise ConfigError(
                    "train.optimizer natural cannot follow inserted layers; use adamw"
                )
        self._factors = []

    def state(self) -> dict[str, Any]:
        """Return velocity, running factors and their factorisations.

        These could be computed again, but not bit for bit on another kind of processor.
        """
        return {
            "velocity": self.velocity,
            "A": self.A,
            "G": self.G,
            "weight": self.weight,
            "steps": self.steps,
            "factors": [list(pair) for pair in self._factors],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` gave."""
        self.velocity = state["velocity"]
        self.A, self.G = state["A"], state["G"]
        self.weight, self.steps = state["weight"], state["steps"]
        self._factors = [(chol_A, chol_G) for chol_A, chol_G in state["factors"]]


def assign(costs: list[float], size: int) -> list[int]:
    """Give things to ranks, dearest first, each to the one with the least to do.

    Returns:
        The rank of each thing (KAISA: Pauloski et al. 2021).
    """
    loads, ranks = [0.0] * size, [0] * len(costs)
    for i in sorted(range(len(costs)), key=lambda i: -costs[i]):
        ranks[i] = min(range(size), key=loads.__getitem__)
        loads[ranks[i]] += costs[i]
    return ranks


def _insert(matrix: Tensor, at: int) -> Tensor:
    keep = [i for i in range(len(matrix) + 1) if i != at]
    result = matrix.new_zeros(len(keep) + 1, len(keep) + 1)
    index = torch.tensor(keep, device=matrix.device)
    result[index[:, None], index] = matrix
    return result


def _delete(matrix: Tensor, at: int) -> Tensor:
    keep = torch.arange(len(matrix), device=matrix.device) != at
    return matrix[keep][:, keep]

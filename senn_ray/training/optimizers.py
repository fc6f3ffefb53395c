"""Optimisers whose state changes size with the network.

They are ours, and not torch's, because their state must be reshaped by surgery and
because importing torch.optim costs seconds in every worker.
"""

from typing import Any

import torch
from torch import Tensor

from senn_ray.nets.network import Network
from senn_ray.nets.surgery import Surgery


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    Biases and the parameters of nonlinearities do not decay. Every entry of an average
    has a weight of its own, 1 - βᵗ after t steps, by which it is divided; so an entry
    that is added later starts exactly as all entries start in a fresh run, and old
    entries do not notice. The weights are averages of ones: a power costs ten times as
    much, and kernels compute it in another way for the last few entries of a tensor.
    """

    BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
    _NAMES = ("first", "second", "first_weight", "second_weight")

    def __init__(self, net: Network) -> None:
        self.first, self.second, self.first_weight, self.second_weight = (
            [torch.zeros_like(w.detach()) for w in net.tensors()] for _ in self._NAMES
        )

    @torch.no_grad()
    def step(
        self,
        net: Network,
        gradients: list[Tensor],
        lr: float,
        decay: float,
    ) -> None:
        """Take one step.

        Args:
            net: The network, changed in place.
            gradients: Gradients of the mean loss, shaped like the parameters.
            lr: Learning rate of this step.
            decay: Decoupled weight decay of this step, in units of the rate.
        """
        keep = 1 - lr * decay
        state = zip(
            self.first, self.second, self.first_weight, self.second_weight, strict=True
        )
        for W, decays, gradient, averages in zip(
            net.tensors(), net.decayed(), gradients, state, strict=True
        ):
            first, second, first_weight, second_weight = averages
            first.lerp_(gradient, 1 - self.BETA1)
            first_weight.mul_(self.BETA1).add_(1 - self.BETA1)
            second.mul_(self.BETA2).addcmul_(gradient, gradient, value=1 - self.BETA2)
            second_weight.mul_(self.BETA2).add_(1 - self.BETA2)
            scale = (second / second_weight).sqrt_().add_(self.EPSILON)
            if decays:
                W[..., :-1] *= keep
            W.addcdiv_(first / first_weight, scale, value=-lr)

    def reshape(self, change: Surgery) -> None:
        """Carry the averages; new entries have none yet, and weight zero."""
        for name in self._NAMES:
            setattr(self, name, change.reshape(getattr(self, name)))

    def state(self) -> dict[str, Any]:
        """Return the averages and their weights."""
        return {name: getattr(self, name) for name in self._NAMES}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` gave."""
        for name in self._NAMES:
            setattr(self, name, state[name])

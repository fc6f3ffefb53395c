"""Layer pools: the hidden layers that could be inserted at one linear layer."""

from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.core.records import GrowthKind
from senn_ray.maths.heldout import Heldout
from senn_ray.maths.insertion import LayerGain, heldout_layer_gain, layer_gain
from senn_ray.maths.proposals import Whitening, symmetric_whitening
from senn_ray.maths.score import Reduce, Site
from senn_ray.nets.mlp import dense
from senn_ray.nets.network import LayerIndex
from senn_ray.nets.surgery import Mix, insert_layer, is_fan_in
from senn_ray.training.run_state import RunState

LARGEST_RATIO = 2.0
"""Of a singular value of B over their geometric mean, or its inverse."""


class LayerPool:
    """Invertible maps B that could come before the nonlinearity of a new layer."""

    def __init__(
        self,
        run: RunState,
        layer: int,
        sites: tuple[Site, Site],
        generator: torch.Generator,
    ) -> None:
        """Draw candidates and score them.

        Args:
            run: The network that may grow, a multi-layer perceptron.
            layer: The linear layer that would be split.
            sites: It on the search half and on the held-out half.
            generator: Source of chance, the same on all replicas.
        """
        self.run = run
        self.place = LayerIndex(0, layer)
        self.search, self.heldout = sites
        # A quarter of the neurons' number: a layer is dearer to score than a neuron.
        self._mixes = initial_mixes(
            self._narrow(self.search),
            count=max(1, run.spec.growth.candidates // 4),
            generator=generator,
            reduce=self._reduce,
        )

    @property
    def _reduce(self) -> Reduce:
        return self.run.reduce

    @property
    def _weights(self) -> Tensor:
        net = self.run.net
        return net.tensors()[net.locate(self.place).rows].detach()

    def _narrow(self, site: Site) -> Tensor:
        """Return the narrower side of the linear layer: its inputs, or its outputs."""
        W = self._weights
        inputs = site.activations
        return inputs[:, :-1] if is_fan_in(W) else inputs @ W.T

    def _features(self, site: Site, mix: Mix) -> Tensor:
        h = mix(self._narrow(site))
        return torch.cat(self.run.net.family.directions(h), 1)

    def _fan_out(self, mix: Mix) -> Tensor:
        """Return the output direction of every feature [n_out, m]."""
        W = self._weights
        inverse = torch.linalg.inv(mix.B)
        V = W[:, :-1] @ inverse if is_fan_in(W) else inverse
        return V.repeat(1, len(self.run.net.family.directions(mix.s)))

    def best(self) -> "LayerProposal":
        """Propose the map with the largest score gain."""
        return max(map(self._score, self._mixes), key=lambda p: p.score_gain)

    def pick(self, number: int) -> "LayerProposal":
        """Propose a map by its number, for the random control."""
        return self._score(self._mixes[number % len(self._mixes)])

    def _score(self, mix: Mix) -> "LayerProposal":
        features, V = self._features(self.search, mix), self._fan_out(mix)
        gain = layer_gain(self.search, features, V, reduce=self._reduce)
        return LayerProposal(self, mix, gain)

    def judge(self, mix: Mix, gain: LayerGain) -> Heldout:
        """Measure a map on held-out examples.

        Args:
            mix: The map.
            gain: Its score gain on the search half.
        """
        features, V = self._features(self.heldout, mix), self._fan_out(mix)
        return heldout_layer_gain(self.heldout, features, V, gain, reduce=self._reduce)

    def install(self, mix: Mix, step: int) -> None:
        """Insert the layer, its nonlinearity at the identity.

        Args:
            mix: The map.
            step: When.
        """
        run, layer = self.run, self.place.layer
        change = insert_layer(dense(run.net), layer, mix)
        if run.best is not None:
            insert_layer(dense(run.best), layer, mix)
        run.follow(change, step)


@dataclass(frozen=True)
class LayerProposal:
    """A hidden layer that could be inserted."""

    pool: LayerPool
    mix: Mix
    gain: LayerGain
    kind: GrowthKind = "insert_layer"

    @property
    def place(self) -> LayerIndex:
        """Where."""
        return self.pool.place

    @property
    def score_gain(self) -> float:
        """On the examples that it was optimised on."""
        return self.gain.exact

    @property
    def current_score(self) -> float:
        """Of the linear layer as it is, on held-out examples."""
        return self.pool.heldout.current_score

    def judge(self) -> Heldout:
        """Measure it on held-out examples."""
        return self.pool.judge(self.mix, self.gain)

    def install(self, step: int) -> None:
        """Insert it, its nonlinearity at the identity."""
        self.pool.install(self.mix, step)


def initial_mixes(
    u: Tensor, *, count: int, generator: torch.Generator, reduce: Reduce
) -> list[Mix]:
    """Draw well-conditioned maps of the narrower side of a linear layer.

    Each whitens roughly (singular values within a factor of ``LARGEST_RATIO`` of their
    mean), so that the neurons see values of order one, then rotates, and shifts by
    N(0, 1). The first one does not rotate.

    Args:
        u: Values [n, r] of this replica.
        count: How many.
        generator: Source of chance, the same on all replicas.
        reduce: Sums over the gang.

    Returns:
        The maps.
    """
    whitening: Whitening = symmetric_whitening(u, ratio=LARGEST_RATIO, reduce=reduce)
    mixes = []
    for k in range(count):
        noise = torch.randn(u.shape[1], u.shape[1] + 1, generator=generator)
        rotation, triangle = torch.linalg.qr(noise[:, :-1].double())
        rotation = rotation * triangle.diagonal().sign()
        if k == 0:
            rotation = torch.eye(u.shape[1])
        B = rotation.to(u) @ whitening.basis
        mixes.append(Mix(B, noise[:, -1].to(u) - B @ whitening.mean))
    return mixes

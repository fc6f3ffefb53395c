"""Pools: the candidates of every site, measured and optimised for one decision."""

from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.maths.kronecker import damped_cholesky
from senn_ray.maths.proposals import (
    Whitening,
    activations,
    ascend,
    initial_candidates,
    whiten,
)
from senn_ray.maths.score import Site, extend_site, measure_site
from senn_ray.nets.capture import Layer, capture, merge
from senn_ray.training.ledger import FORWARD, decision_flops, moment_flops
from senn_ray.training.replica import Replica

INPUT_DAMPING = 1e-3
"""Damping of A; activations are of order 1."""
WHITENING_SHRINKAGE = 0.1


@dataclass(frozen=True)
class Inputs:
    """What the candidates of a site look at, on both halves of a decision."""

    whitening: Whitening
    coordinates: Tensor
    """[n, r], the search half first."""
    split: int
    """This replica's examples in the search half."""


@dataclass
class Pool:
    """The candidates of one site, and its statistics on both halves of a decision."""

    index: int
    search: Site
    """On the examples that proposals are optimised on."""
    heldout: Site
    """On the examples that they are judged by."""
    fan_in: Tensor
    """[K, n_in + 1], on raw inputs."""
    search_activations: Tensor
    """[n, K]"""
    heldout_activations: Tensor

    def take(self, k: int, replica: Replica) -> None:
        """Measure both halves again with candidate ``k`` among the inputs."""
        self.search = extend_site(
            self.search, self.search_activations[:, k], reduce=replica.reduce
        )
        self.heldout = extend_site(
            self.heldout, self.heldout_activations[:, k], reduce=replica.reduce
        )


class Searcher:
    """Measure sites and search their candidates, on fresh examples each time."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica

    def search(self, step: int) -> tuple[float, list[Pool]]:
        """Find the best candidates of every site.

        Args:
            step: Names the decision: its examples and candidates follow from it.

        Returns:
            The mean training loss on the decision examples, and a pool per site.
        """
        replica = self.replica
        order = torch.randperm(
            len(replica.train), generator=replica.generator("decision", step)
        )
        chosen = order[: replica.spec.growth.decision_examples]
        whole = chosen.tensor_split(2)
        halves = [replica.shard(half) for half in whole]
        whitening = self._input_whitening(halves[0], examples=len(whole[0]))
        parts, coordinates = [], []
        for x, y in replica.batches(torch.cat(halves)):
            parts.append(capture(replica.net, x, y, replica.task, first=1))
            coordinates.append(whitening.coordinates(x))
        captured = merge(parts)
        replica.ledger.visit(len(chosen), replica.num_params, FORWARD)
        (total,) = replica.reduce([captured.loss[None]])
        inputs = Inputs(whitening, torch.cat(coordinates), len(halves[0]))
        generator = replica.generator("candidates", step)
        pools = []
        for site, target in enumerate(captured.layers):
            pools.append(self._pool(site, inputs, target, generator))
            inputs = self._hidden_inputs(target, inputs.split)
        return total.item() / len(chosen), pools

    def _input_whitening(self, search: Tensor, *, examples: int) -> Whitening:
        """Whiten the network's inputs, once: they do not change."""
        if self.replica.whitening is None:
            x, _ = self.replica.train.batch(search)
            self.replica.whitening = self._whiten(x)
            self.replica.ledger.count(moment_flops(examples, x.shape[1]))
        return self.replica.whitening

    def _hidden_inputs(self, layer: Layer, split: int) -> Inputs:
        """Whiten a hidden layer as it is now: the inputs of the next site."""
        features = layer.inputs[:, :-1]
        whitening = self._whiten(features[:split])
        return Inputs(whitening, whitening.coordinates(features), split)

    def _whiten(self, features: Tensor) -> Whitening:
        return whiten(
            features,
            rank=self.replica.spec.growth.rank,
            shrinkage=WHITENING_SHRINKAGE,
            reduce=self.replica.reduce,
        )

    def _pool(
        self, index: int, inputs: Inputs, target: Layer, generator: torch.Generator
    ) -> Pool:
        """Measure one site on both halves and optimise its candidates on the first."""
        growth, reduce = self.replica.spec.growth, self.replica.reduce
        search, heldout = self._measure(target, inputs.split)
        own = inputs.coordinates[: inputs.split]
        self._count(search, heldout, inputs)
        nonlinearity = self.replica.net.nonlinearity
        candidates = initial_candidates(
            search,
            own,
            inputs.whitening,
            count=growth.candidates,
            generator=generator,
            reduce=reduce,
        )
        candidates, _ = ascend(
            search,
            candidates,
            own,
            nonlinearity,
            steps=growth.ascent_steps,
            reduce=reduce,
        )
        values = activations(candidates, inputs.coordinates, nonlinearity)
        return Pool(
            index=index,
            search=search,
            heldout=heldout,
            fan_in=inputs.whitening.fan_in(candidates),
            search_activations=values[: inputs.split],
            heldout_activations=values[inputs.split :],
        )

    def _measure(self, target: Layer, split: int) -> tuple[Site, Site]:
        """Measure a site on both halves, with one damped G."""
        chol_G = self._curvature(target)
        search, heldout = (
            measure_site(
                target.inputs[half],
                target.gradients[half],
                chol_G,
                damping=INPUT_DAMPING,
                reduce=self.replica.reduce,
            )
            for half in (slice(None, split), slice(split, None))
        )
        return search, heldout

    def _count(self, search: Site, heldout: Site, inputs: Inputs) -> None:
        growth = self.replica.spec.growth
        self.replica.ledger.count(
            decision_flops(
                examples=round(search.weight + heldout.weight),
                inputs=len(inputs.whitening.mean),
                rank=inputs.coordinates.shape[1],
                site=(search.dW.shape[1], search.dW.shape[0]),
                searches=growth.candidates * (growth.ascent_steps + 1),
            )
        )

    def _curvature(self, target: Layer) -> Tensor:
        """Factorise G, damped once for the whole decision.

        The damping is relative to the root mean square gradient. It has the units of
        the loss, and it keeps the promise finite where the loss is near zero: there
        the Gauss-Newton factor of confident mistakes vanishes, but their gradient does
        not.
        """
        power = target.gradients.square().sum()
        G, sums = self.replica.reduce([
            target.curvature,
            torch.stack([power, power.new_tensor(float(len(target.gradients)))]),
        ])
        weight = sums[1]
        damping = self.replica.spec.growth.damping * (sums[0] / weight).sqrt()
        return damped_cholesky(G / weight, damping + torch.finfo(G.dtype).eps)

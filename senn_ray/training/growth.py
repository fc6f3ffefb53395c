"""A growth check: measure, propose, decide, operate, until nothing passes.

Everything decided here follows from sums over the gang and from derived seeds, so all
replicas decide alike without a message. Nothing here touches the state of training
(random numbers, optimiser, running factors) unless a proposal is accepted.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.config import GrowthConfig
from senn_ray.maths.heldout import Heldout, heldout_gain, most_additions
from senn_ray.maths.kronecker import damped_cholesky, score_ceiling
from senn_ray.maths.proposals import (
    Whitening,
    activations,
    ascend,
    initial_candidates,
    whiten,
)
from senn_ray.maths.score import Site, extend_site, measure_site, score_gain
from senn_ray.nets.capture import Layer, capture, merge
from senn_ray.nets.surgery import Widen, widen
from senn_ray.records import Expansion
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


@dataclass(frozen=True)
class Proposal:
    """The best candidate of all sites, and what it is worth."""

    pool: Pool
    candidate: int
    score_gain: float
    heldout: Heldout

    def passes(self, growth: GrowthConfig) -> bool:
        """Decide: significant, above the absolute and above the relative threshold."""
        gain = self.heldout.gain
        return (
            self.heldout.z >= growth.significance
            and gain > 2 * growth.absolute_threshold
            and gain > growth.relative_threshold * self.pool.heldout.current_score
        )


@dataclass(frozen=True)
class Check:
    """The outcome of one growth check."""

    loss: float
    """Mean training loss on the decision examples."""
    current_score: float
    """Of all sites, before additions."""
    events: list[Expansion]
    """Accepted proposals, then the rejected one, unless a cap ended the check."""

    @property
    def additions(self) -> int:
        """The number of accepted proposals."""
        return sum(event.kind == "widen" for event in self.events)


class Grower:
    """Grow a network, check by check."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self._whitening: Whitening | None = None

    @torch.no_grad()
    def check(self, step: int) -> Check:
        """Add neurons while proposals pass.

        Args:
            step: The step before which the check takes place.

        Returns:
            What was measured, accepted and rejected.
        """
        growth = self.replica.spec.growth
        loss, pools = self._measure(step)
        score = sum(pool.heldout.current_score for pool in pools)
        bound = sum(self._bound(pool) for pool in pools)
        events: list[Expansion] = []
        while len(events) < growth.max_additions and not self.at_cap():
            proposal = self._propose([p for p in pools if self._may_widen(p.index)])
            accepted = proposal.passes(growth)
            events.append(
                self._event(proposal, accepted=accepted, step=step, loss=loss)
            )
            if not accepted:
                break
            self._insert(proposal, step)
        check = Check(loss=loss, current_score=score, events=events)
        if check.additions > bound:
            raise RuntimeError(
                f"{check.additions} additions exceed the bound {bound:.1f}"
            )
        return check

    @torch.no_grad()
    def confirm(self, step: int) -> bool:
        """Tell whether a finished network asks for no more growth, changing nothing.

        On small data one division into halves decides by luck; most of three decide.

        Args:
            step: The last step of the run.
        """
        wanted = 0
        for division in range(3):
            _, pools = self._measure(step + division)
            wanted += self._propose(pools).passes(self.replica.spec.growth)
        return wanted < 2

    def at_cap(self) -> bool:
        """Tell whether the cap on the width stops every site from growing."""
        return not any(self._may_widen(i) for i in range(len(self.replica.hidden)))

    def _may_widen(self, site: int) -> bool:
        return self.replica.hidden[site] < self.replica.spec.model.max_hidden

    def _bound(self, pool: Pool) -> float:
        growth, site = self.replica.spec.growth, pool.heldout
        (power,) = self.replica.reduce([
            score_ceiling(site.gradients, site.chol_G)[None] * len(site.gradients)
        ])
        return most_additions(
            power.item() / site.weight,
            relative_threshold=growth.relative_threshold,
            absolute_threshold=2 * growth.absolute_threshold,
        )

    def _measure(self, step: int) -> tuple[float, list[Pool]]:
        """Return the loss on fresh decision examples, and every site's candidates."""
        replica = self.replica
        order = torch.randperm(
            len(replica.train), generator=replica.generator("decision", step)
        )
        chosen = order[: replica.spec.growth.decision_examples]
        halves = [replica.shard(half) for half in chosen.tensor_split(2)]
        whitening = self._input_whitening(halves[0])
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
            pools.append(self._search(site, inputs, target, generator))
            inputs = self._hidden_inputs(target, inputs.split)
        return total.item() / len(chosen), pools

    def _input_whitening(self, search: Tensor) -> Whitening:
        """Whiten the network's inputs, once: they do not change."""
        if self._whitening is None:
            x, _ = self.replica.train.batch(search)
            self._whitening = self._whiten(x)
            examples = len(x) * self.replica.reducer.size
            self.replica.ledger.count(moment_flops(examples, x.shape[1]))
        return self._whitening

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

    def _search(
        self, index: int, inputs: Inputs, target: Layer, generator: torch.Generator
    ) -> Pool:
        """Measure one site on both halves and optimise its candidates on the first."""
        growth, reduce = self.replica.spec.growth, self.replica.reduce
        chol_G = self._curvature(target)
        search, heldout = (
            measure_site(
                target.inputs[half],
                target.gradients[half],
                chol_G,
                damping=INPUT_DAMPING,
                reduce=reduce,
            )
            for half in (slice(None, inputs.split), slice(inputs.split, None))
        )
        own = inputs.coordinates[: inputs.split]
        self.replica.ledger.count(
            decision_flops(
                examples=round(search.weight + heldout.weight),
                inputs=len(inputs.whitening.mean),
                rank=own.shape[1],
                site=(search.dW.shape[1], search.dW.shape[0]),
                searches=growth.candidates * (growth.ascent_steps + 1),
            )
        )
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

    def _propose(self, pools: list[Pool]) -> Proposal:
        """Choose the best candidate by score gain, and judge it on held-out examples."""
        reduce = self.replica.reduce
        gains = [
            score_gain(p.search, p.search_activations, reduce=reduce) for p in pools
        ]
        best = max(range(len(pools)), key=lambda i: gains[i].exact.max().item())
        pool, gain = pools[best], gains[best]
        k = int(gain.exact.argmax())
        heldout = heldout_gain(
            pool.heldout, pool.heldout_activations[:, k], gain, k, reduce=reduce
        )
        return Proposal(pool, k, gain.exact[k].item(), heldout)

    def _event(
        self, proposal: Proposal, *, accepted: bool, step: int, loss: float
    ) -> Expansion:
        before = self.replica.hidden
        after = list(before)
        after[proposal.pool.index] += accepted
        current = proposal.pool.heldout.current_score
        return Expansion(
            step=step,
            kind="widen" if accepted else "rejected",
            site=proposal.pool.index,
            score_gain=proposal.score_gain,
            relative_gain=proposal.heldout.gain / max(current, 1e-30),
            current_score=current,
            heldout_gain=proposal.heldout.gain,
            heldout_z=proposal.heldout.z,
            removal_cost=None,
            hidden_before=before,
            hidden_after=tuple(after),
            loss_before=loss,
            loss_after=None,
        )

    def _insert(self, proposal: Proposal, step: int) -> None:
        replica, pool, k = self.replica, proposal.pool, proposal.candidate
        change = Widen(pool.index)
        fan_in = pool.fan_in[k]
        missing = replica.net.weights[pool.index].shape[1] - len(fan_in)
        if missing:  # Neurons that this check has added to the layer before.
            zeros = fan_in.new_zeros(missing)
            fan_in = torch.cat([fan_in[:-1], zeros, fan_in[-1:]])
        widen(replica.net, change, fan_in)
        replica.optimizer.reshape(change)
        replica.births[pool.index].append(step)
        pool.take(k, replica)

"""A growth check: measure, propose, decide, operate, until nothing passes.

Everything decided here follows from sums over the gang and from derived seeds, so all
replicas decide alike without a message. Nothing here touches the state of training
(random numbers, optimiser, running factors) unless a proposal is accepted.
"""

import math
from dataclasses import dataclass

import torch

from senn_ray.config import GrowthConfig
from senn_ray.maths.heldout import Heldout, most_additions
from senn_ray.maths.kronecker import score_ceiling
from senn_ray.nets.surgery import site
from senn_ray.records import Expansion
from senn_ray.training.layer_pools import LayerPool, LayerProposal
from senn_ray.training.pools import NeuronPool, NeuronProposal, Proposal
from senn_ray.training.replica import Replica
from senn_ray.training.searcher import Searcher

AnyPool = NeuronPool | LayerPool


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
        return sum(event.kind != "rejected" for event in self.events)


@dataclass(frozen=True)
class Judged:
    """A proposal, and what it is worth on examples that it was not found on."""

    proposal: Proposal
    heldout: Heldout
    loss_unit: float
    current_score: float
    """Of the site before anything is done to it."""

    def passes(self, growth: GrowthConfig) -> bool:
        """Decide: significant, above the absolute and above the relative threshold."""
        gain = self.heldout.gain
        return (
            self.heldout.z >= growth.significance
            and gain > 2 * growth.absolute_threshold * self.loss_unit
            and gain > growth.relative_threshold * self.current_score
        )


class Grower:
    """Grow a network, check by check."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self._searcher = Searcher(replica)

    @torch.no_grad()
    def check(self, step: int) -> Check:
        """Add neurons or a layer while proposals pass.

        Args:
            step: The step before which the check takes place.

        Returns:
            What was measured, accepted and rejected.
        """
        growth = self.replica.spec.growth
        loss, pools = self._searcher.search(step)
        # Pools whose neurons feed the same layer share its site.
        places = {id(pool.heldout): pool.heldout for pool in pools}
        score = sum(place.current_score for place in places.values())
        bound = sum(self._bound(pool) for pool in pools)
        events: list[Expansion] = []
        while len(events) < growth.max_additions:
            pools = [pool for pool in pools if self._may_grow(pool, len(events))]
            if not pools:
                break
            judged = self._propose(pools, (step, len(events)))
            before, accepted = self.replica.hidden, judged.passes(growth)
            if accepted:
                judged.proposal.install(step)
            events.append(
                _event(judged, (step, loss), before, self.replica, accepted=accepted)
            )
            if not accepted or isinstance(judged.proposal, LayerProposal):
                break
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
            _, pools = self._searcher.search(step + division)
            judged = self._propose(pools, (step, division))
            wanted += judged.passes(self.replica.spec.growth)
        return wanted < 2

    def at_cap(self) -> bool:
        """Tell whether caps on width and depth stop every place from growing."""
        widths = self.replica.hidden
        cap = self.replica.spec.model.max_hidden
        return all(h >= cap for h in widths) and not self.replica.may_insert

    def _may_grow(self, pool: AnyPool, additions: int) -> bool:
        if isinstance(pool, LayerPool):
            # What it knows of its linear layer is from before the additions.
            return additions == 0
        if pool.kind == "insert_layer":
            return True
        width = self.replica.hidden[site(self.replica.net, pool.place)]
        return width < self.replica.spec.model.max_hidden

    def _bound(self, pool: AnyPool) -> float:
        """Bound the additions at one place; a layer ends its check."""
        if isinstance(pool, LayerPool):
            return 1
        if pool.heldout.terms.metric == "gradient":
            return math.inf  # The control has no ceiling.
        growth, where = self.replica.spec.growth, pool.heldout
        (power,) = self.replica.reduce([
            score_ceiling(where.gradients, where.chol_G)[None] * len(where.gradients)
        ])
        return most_additions(
            power.item() / where.weight,
            relative_threshold=growth.relative_threshold,
            absolute_threshold=2 * growth.absolute_threshold * self.replica.loss_unit,
        )

    def _propose(self, pools: list[AnyPool], draw: tuple[int, int]) -> Judged:
        """Choose the best candidate of all places by its score gain, and judge it.

        A layer has more new parameters than a neuron, so it looks better by luck: if
        the best layer fails where it counts, the best neuron is judged too. These two
        tries are all.
        """
        growth = self.replica.spec.growth
        if growth.score == "random":
            generator = self.replica.generator("choice", *draw)
            numbers = torch.randint(2**31, (2,), generator=generator).tolist()
            proposal = pools[numbers[0] % len(pools)].pick(numbers[1])
            return self._judge(proposal)
        proposals = sorted((p.best() for p in pools), key=lambda p: -p.score_gain)
        judged = self._judge(proposals[0])
        neurons = [p for p in proposals if isinstance(p, NeuronProposal)]
        if neurons and neurons[0] is not proposals[0] and not judged.passes(growth):
            return self._judge(neurons[0])
        return judged

    def _judge(self, proposal: Proposal) -> Judged:
        return Judged(
            proposal=proposal,
            heldout=proposal.judge(),
            loss_unit=self.replica.loss_unit,
            current_score=proposal.current_score,
        )


def _event(
    judged: Judged,
    moment: tuple[int, float],
    before: tuple[int, ...],
    replica: Replica,
    *,
    accepted: bool,
) -> Expansion:
    proposal, heldout = judged.proposal, judged.heldout
    return Expansion(
        step=moment[0],
        kind=proposal.kind if accepted else "rejected",
        site=site(replica.net, proposal.place),
        score_gain=proposal.score_gain,
        relative_gain=heldout.gain / max(judged.current_score, 1e-30),
        current_score=judged.current_score,
        heldout_gain=heldout.gain,
        heldout_z=heldout.z,
        removal_cost=None,
        hidden_before=before,
        hidden_after=replica.hidden,
        loss_before=moment[1],
        loss_after=None,
    )

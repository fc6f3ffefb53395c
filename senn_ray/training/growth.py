"""A growth check: measure, propose, decide, operate, until nothing passes.

Everything decided here follows from sums over the gang and from derived seeds, so all
replicas decide alike without a message. Nothing here touches the state of training
(random numbers, optimiser, running factors) unless a proposal is accepted.
"""

from dataclasses import dataclass

import torch

from senn_ray.config import GrowthConfig
from senn_ray.maths.heldout import Heldout, heldout_gain, most_additions
from senn_ray.maths.kronecker import score_ceiling
from senn_ray.maths.score import score_gain
from senn_ray.nets.surgery import Widen, widen
from senn_ray.records import Expansion
from senn_ray.training.pools import Pool, Searcher
from senn_ray.training.replica import Replica


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
        self._searcher = Searcher(replica)

    @torch.no_grad()
    def check(self, step: int) -> Check:
        """Add neurons while proposals pass.

        Args:
            step: The step before which the check takes place.

        Returns:
            What was measured, accepted and rejected.
        """
        growth = self.replica.spec.growth
        loss, pools = self._searcher.search(step)
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
            _, pools = self._searcher.search(step + division)
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
        if replica.best is not None:
            widen(replica.best, change, fan_in)
        replica.optimizer.reshape(change)
        replica.births[pool.index].append(step)
        pool.take(k, replica)

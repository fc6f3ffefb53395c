"""A growth check: measure, propose, decide, operate, until nothing passes.

Everything decided here follows from sums over the gang and from derived seeds, so all
replicas decide alike without a message. Nothing here touches the state of training
(random numbers, optimiser, running factors) unless a proposal is accepted.
"""

import dataclasses
import math
from dataclasses import dataclass
from statistics import NormalDist

import torch

from senn_ray.config import GrowthConfig
from senn_ray.maths.heldout import Heldout, agreed, most_additions
from senn_ray.maths.kronecker import score_ceiling
from senn_ray.maths.score import Site
from senn_ray.nets.surgery import site
from senn_ray.records import Expansion
from senn_ray.training.layer_pools import LayerPool, LayerProposal
from senn_ray.training.measure import most_examples
from senn_ray.training.pools import Proposal
from senn_ray.training.replica import Replica
from senn_ray.training.searcher import AnyPool, Searcher

DIVISIONS = 3
"""Of the examples into those that are searched on and those held out, where a decision
looks at all there are. With one alone, luck decides much about the size."""


@dataclass(frozen=True)
class Check:
    """The outcome of one growth check."""

    loss: float
    """Mean training loss on the decision examples."""
    current_score: float
    """Of all sites, before additions."""
    events: list[Expansion]
    """Of every round accepted proposals, then the rejected one; a cap, or a layer, ends
    the check without one."""

    @property
    def additions(self) -> int:
        """The number of accepted proposals."""
        return sum(event.kind != "rejected" for event in self.events)


@dataclass(frozen=True)
class Judged:
    """A proposal, and what it is worth on examples that it was not found on."""

    proposal: Proposal
    heldout: Heldout
    """Its gain, and how sure all divisions are that were asked."""
    least: float
    """The absolute threshold now, in units of the gain."""
    current_score: float
    """Of the site before anything is done to it."""

    def passes(
        self, growth: GrowthConfig, *, tries: int = 1, on_trial: bool = False
    ) -> bool:
        """Decide: significant, above the absolute and above the relative threshold.

        Args:
            growth: The other thresholds.
            tries: How many proposals are judged; the best of them is to be accepted by
                luck no more often than a single one (Bonferroni).
            on_trial: Whether the absolute threshold is enough for a neuron.
        """
        gain = self.heldout.gain
        if on_trial and self.proposal.kind == "widen":
            return gain > self.least
        return (
            self.heldout.z >= corrected(growth.significance, tries)
            and gain > self.least
            and gain > growth.relative_threshold * self.current_score
        )


def corrected(z: float, tries: int) -> float:
    """Return the z that the best of some tries must reach, for the luck of one.

    Args:
        z: For one try, in standard errors.
        tries: How many.
    """
    normal = NormalDist()
    luck = normal.cdf(-z) / tries
    return -normal.inv_cdf(luck) if luck > 0 else z


class Grower:
    """Grow a network, check by check."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self._searcher = Searcher(replica)

    @torch.no_grad()
    def check(self, step: int, *, exploring: bool = False) -> Check:
        """Add neurons or a layer while proposals pass.

        Args:
            step: The step before which the check takes place.
            exploring: Whether what is added still has the time to become worth more
                than it promises now, so that less is enough.

        Returns:
            What was measured, accepted and rejected.
        """
        judge = _Judge(self.replica, exploring=exploring)
        rounds: list[Check] = []
        for number in range(self._divisions):
            additions = sum(part.additions for part in rounds)
            rounds.append(self._round(judge, step, number, additions))
            events = rounds[-1].events
            if not rounds[-1].additions or events[-1].kind != "rejected":
                break
        events = [event for part in rounds for event in part.events]
        return dataclasses.replace(rounds[0], events=events)

    @property
    def _divisions(self) -> int:
        """How many are asked, in as many rounds: several if a decision sees all."""
        sees_all = len(self.replica.train) <= most_examples(self.replica)
        chooses = self.replica.spec.growth.score != "random"
        return DIVISIONS if sees_all and chooses else 1

    def _round(self, judge: "_Judge", step: int, number: int, additions: int) -> Check:
        """Add one if the divisions agree, and more on the one that knew the best.

        Args:
            judge: Of proposals.
            step: Of the check.
            number: Of the round; every round divides the examples afresh.
            additions: Those that the check has made before.
        """
        loss, divisions = self._searcher.search(step, number, divisions=self._divisions)
        # Pools whose neurons feed the same layer share its site.
        places = {id(pool.heldout): pool.heldout for pool in divisions[0]}
        score = sum(place.current_score for place in places.values())
        bound, events = math.inf, list[Expansion]()
        while additions + len(events) < self.replica.spec.growth.max_additions:
            divisions = [self._open(pools, len(events)) for pools in divisions]
            if not divisions[0]:
                break
            judged, of, accepted = judge.choose(divisions, (step, number, len(events)))
            before = self.replica.hidden
            if accepted:
                # The others do not know what this one installs.
                divisions = [divisions[of]]
                if not events:
                    bound = sum(self._bound(pool, judge) for pool in divisions[0])
                judged.proposal.install(step)
                judge.admit()
            at = (step, loss)
            events.append(_event(judged, at, before, self.replica, accepted=accepted))
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

        Args:
            step: The last step of the run.
        """
        # On one division luck would decide, also where a check has no time for more.
        _, divisions = self._searcher.search(step, divisions=DIVISIONS)
        judge = _Judge(self.replica)
        if self.replica.spec.growth.score == "random":
            return not judge.choose(divisions, (step, 0, 0))[2]
        return not judge.expects(divisions)

    def at_cap(self) -> bool:
        """Tell whether caps on width and depth stop every place from growing."""
        widths = self.replica.hidden
        cap = self.replica.spec.model.max_hidden
        return all(h >= cap for h in widths) and not self.replica.may_insert

    def _open(self, pools: list[AnyPool], additions: int) -> list[AnyPool]:
        return [pool for pool in pools if self._may_grow(pool, additions)]

    def _may_grow(self, pool: AnyPool, additions: int) -> bool:
        if isinstance(pool, LayerPool):
            # What it knows of its linear layer is from before the additions.
            return additions == 0
        if pool.kind == "insert_layer":
            return True
        width = self.replica.hidden[site(self.replica.net, pool.place)]
        return width < self.replica.spec.model.max_hidden

    def _bound(self, pool: AnyPool, judge: "_Judge") -> float:
        """Bound the additions at one place; a layer ends its check."""
        if isinstance(pool, LayerPool):
            return 1
        if pool.heldout.terms.metric == "gradient":
            return math.inf  # The control has no ceiling.
        where = pool.heldout
        (power,) = self.replica.reduce([
            score_ceiling(where.gradients, where.chol_G)[None] * len(where.gradients)
        ])
        return most_additions(
            power.item() / where.weight,
            relative_threshold=judge.relative,
            absolute_threshold=judge.least,
        )


class _Judge:
    """Choose between places by what their best candidates are worth where it counts.

    Gains of the search are no guide: there the best of many candidates fits the noise,
    and the more so the noisier the gradients of a place are.

    While the network explores, one sure proposal in a check lets neurons in on trial
    after it: there is something to learn, and what they are worth shows when they have
    been trained and their removal is priced. Where there is nothing, none is let in.
    """

    def __init__(self, replica: Replica, *, exploring: bool = False) -> None:
        self.replica = replica
        growth = replica.spec.growth
        share = growth.exploration if exploring else 1.0
        self.least = 2 * share * growth.absolute_threshold * replica.loss_unit
        """The absolute threshold now, in units of the gain."""
        self._explores = share < 1
        self.relative = 0.0 if self._explores else growth.relative_threshold
        """The relative threshold that every addition of a check keeps."""
        self._on_trial = False
        self._known: dict[int, tuple[Site, Judged]] = {}

    def choose(
        self, divisions: list[list[AnyPool]], draw: tuple[int, ...]
    ) -> tuple[Judged, int, bool]:
        """Choose a proposal, and decide.

        Args:
            divisions: Of each the places, with their candidates.
            draw: Names the decision, for the random control.

        Returns:
            Of the proposals that pass, or else of all, the one with the largest
            held-out gain; the number of its division; and whether it passes.
        """
        growth, tries = self.replica.spec.growth, len(divisions[0])
        if growth.score == "random":
            generator = self.replica.generator("choice", *draw)
            numbers = torch.randint(2**31, (2,), generator=generator).tolist()
            pool = divisions[0][numbers[0] % tries]
            judged = self._judge(pool.pick(numbers[1]))
            return judged, 0, self._accepts(judged, tries=1)
        best, of = max(
            map(self._agreed, zip(*divisions, strict=True)),
            key=lambda found: (
                self._accepts(found[0], tries=tries),
                found[0].heldout.gain,
            ),
        )
        return best, of, self._accepts(best, tries=tries)

    def admit(self) -> None:
        """Note that a proposal was accepted in this check."""
        self._on_trial = self._explores

    def _accepts(self, judged: Judged, *, tries: int) -> bool:
        growth = self.replica.spec.growth
        return judged.passes(growth, tries=tries, on_trial=self._on_trial)

    def expects(self, divisions: list[list[AnyPool]]) -> bool:
        """Tell whether at any place the mean gain of all divisions passes.

        The largest, which ``choose`` goes by, is the luckiest where nothing is wanted.

        Args:
            divisions: Of each the places, with their candidates.
        """
        growth, tries = self.replica.spec.growth, len(divisions[0])
        return any(
            dataclasses.replace(
                self._best(place[0]),
                heldout=agreed([self._best(pool).heldout for pool in place]),
            ).passes(growth, tries=tries)
            for place in zip(*divisions, strict=True)
        )

    def _agreed(self, place: tuple[AnyPool, ...]) -> tuple[Judged, int]:
        """Judge whether all divisions want to grow here, and how the best one would."""
        each = [self._best(pool) for pool in place]
        of = max(range(len(each)), key=lambda number: each[number].heldout.gain)
        sure = agreed([judged.heldout for judged in each]).z
        heldout = dataclasses.replace(each[of].heldout, z=sure)
        return dataclasses.replace(each[of], heldout=heldout), of

    def _best(self, pool: AnyPool) -> Judged:
        """Judge a pool's best candidate, again only if its site has changed."""
        known = self._known.get(id(pool))
        if known is None or known[0] is not pool.heldout:
            known = pool.heldout, self._judge(pool.best())
            self._known[id(pool)] = known
        return known[1]

    def _judge(self, proposal: Proposal) -> Judged:
        return Judged(
            proposal=proposal,
            heldout=proposal.judge(),
            least=self.least,
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

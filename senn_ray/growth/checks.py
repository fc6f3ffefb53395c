"""A growth check: measure, propose, decide, operate, until nothing passes.

Everything decided here follows from sums over the gang and from derived seeds, so all
replicas decide alike without a message. Nothing here touches the state of training
(random numbers, optimiser, running factors) unless a proposal is accepted.
"""

import dataclasses
import math
from dataclasses import dataclass

import torch

from senn_ray.core.records import Expansion
from senn_ray.growth.judge import Judge, Judged
from senn_ray.growth.layer_pools import LayerPool, LayerProposal
from senn_ray.growth.measure import most_examples
from senn_ray.growth.searcher import AnyPool, Searcher
from senn_ray.maths.heldout import most_additions
from senn_ray.maths.kronecker import score_ceiling
from senn_ray.nets.surgery import site
from senn_ray.training.run_state import RunState

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


class Grower:
    """Grow a network, check by check."""

    def __init__(self, run: RunState) -> None:
        self.run = run
        self._searcher = Searcher(run)

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
        judge = Judge(self.run, exploring=exploring)
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
        sees_all = len(self.run.train) <= most_examples(self.run)
        chooses = self.run.spec.growth.score != "random"
        return DIVISIONS if sees_all and chooses else 1

    def _round(self, judge: Judge, step: int, number: int, additions: int) -> Check:
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
        while additions + len(events) < self.run.spec.growth.max_additions:
            divisions = [self._open(pools, len(events)) for pools in divisions]
            if not divisions[0]:
                break
            judged, of, accepted = judge.choose(divisions, (step, number, len(events)))
            before = self.run.hidden
            if accepted:
                # The others do not know what this one installs.
                divisions = [divisions[of]]
                if not events:
                    bound = sum(self._bound(pool, judge) for pool in divisions[0])
                judged.proposal.install(step)
                judge.admit()
            at = (step, loss)
            events.append(_event(judged, at, before, self.run, accepted=accepted))
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
        judge = Judge(self.run)
        if self.run.spec.growth.score == "random":
            return not judge.choose(divisions, (step, 0, 0))[2]
        return not judge.expects(divisions)

    def at_cap(self) -> bool:
        """Tell whether caps on width and depth stop every place from growing."""
        widths = self.run.hidden
        cap = self.run.spec.model.max_hidden
        return all(h >= cap for h in widths) and not self.run.may_insert

    def _open(self, pools: list[AnyPool], additions: int) -> list[AnyPool]:
        """Return the places that may grow now."""
        places = [pool for pool in pools if self._may_grow(pool, additions)]
        if not self._after_layer:
            return places
        neurons: list[AnyPool] = [p for p in places if not isinstance(p, LayerPool)]
        return neurons or places

    @property
    def _after_layer(self) -> bool:
        """Whether the check before this one inserted a layer.

        It has the fewest neurons that it can have, and is hardly trained: neurons come
        first, or layers would follow each other before anything is learnt.
        """
        kinds = [event.kind for event in self.run.trace.expansions]
        asked = [kind for kind in kinds if kind not in ("prune", "remove_layer")]
        return asked[-1:] == ["insert_layer"]

    def _may_grow(self, pool: AnyPool, additions: int) -> bool:
        if isinstance(pool, LayerPool):
            # What it knows of its linear layer is from before the additions.
            return additions == 0
        if pool.kind == "insert_layer":
            return True
        width = self.run.hidden[site(self.run.net, pool.place)]
        return width < self.run.spec.model.max_hidden

    def _bound(self, pool: AnyPool, judge: Judge) -> float:
        """Bound the additions at one place; a layer ends its check."""
        if isinstance(pool, LayerPool):
            return 1
        if pool.heldout.terms.metric == "gradient":
            return math.inf  # The control has no ceiling.
        where = pool.heldout
        (power,) = self.run.reduce([
            score_ceiling(where.gradients, where.chol_G)[None] * len(where.gradients)
        ])
        return most_additions(
            power.item() / where.weight,
            relative_threshold=judge.relative,
            absolute_threshold=judge.least,
        )


def _event(
    judged: Judged,
    moment: tuple[int, float],
    before: tuple[int, ...],
    run: RunState,
    *,
    accepted: bool,
) -> Expansion:
    proposal, heldout = judged.proposal, judged.heldout
    return Expansion(
        step=moment[0],
        kind=proposal.kind if accepted else "rejected",
        site=site(run.net, proposal.place),
        score_gain=proposal.score_gain,
        relative_gain=heldout.gain / max(judged.current_score, 1e-30),
        current_score=judged.current_score,
        heldout_gain=heldout.gain,
        heldout_z=heldout.z,
        removal_cost=None,
        hidden_before=before,
        hidden_after=run.hidden,
        loss_before=moment[1],
        loss_after=None,
    )

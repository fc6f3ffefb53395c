"""A growth check: measure, propose, judge, install, until nothing passes.

A decision reads through three files: ``measure`` (statistics of the sites),
``candidates`` (what could be added, and how it is installed) and this one, which
decides. Everything follows from sums over the gang and from derived seeds, so all
replicas decide alike without a message. Nothing here touches the state of training
(random numbers, optimiser, running factors) unless a proposal is accepted.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import torch

from senn_ray.config import GrowthConfig
from senn_ray.core.records import Expansion
from senn_ray.growth.candidates import LayerPool, Pool, Proposal, Search
from senn_ray.growth.measure import most_examples
from senn_ray.maths.heldout import Heldout, agreed
from senn_ray.maths.score import Site
from senn_ray.nets.surgery import site
from senn_ray.training.run_state import RunState

DIVISIONS = 3
"""Number of divisions of the examples into those searched on and those held out, where
a decision looks at all there are. With one alone, luck decides much about the size."""
FIRST_LOOK = 0.1
"""Share of the rate of false acceptances for the first division alone; the others are
asked, for the rest of it, where that is not enough."""


@dataclass(frozen=True)
class Check:
    """The outcome of one growth check."""

    loss: float
    """Mean training loss on the decision examples."""
    current_score: float
    """Sum over all sites, before additions."""
    events: list[Expansion]
    """In every round the accepted proposals, then the rejected one; a cap, or a layer,
    ends the check without one."""

    @property
    def additions(self) -> int:
        """The number of accepted proposals."""
        return sum(event.kind != "rejected" for event in self.events)


@torch.no_grad()
def check_growth(run: RunState, step: int) -> Check:
    """Add neurons or a layer while proposals pass.

    Args:
        run: The run; changed in place.
        step: The step before which the check takes place.
    """
    # Where data is plentiful every decision draws fresh examples, and one division is
    # as good as another. Where it sees all there are, only dividing them anew does.
    sees_all = len(run.train) <= most_examples(run)
    several = sees_all and run.spec.growth.score != "random"
    divisions = DIVISIONS if several else 1
    judge = Judge(run)
    rounds: list[Check] = []
    # In a round the divisions agree on its first addition only; what follows is known to
    # one of them. So every round divides the examples afresh.
    for number in range(divisions):
        additions = sum(part.additions for part in rounds)
        rounds.append(_round(judge, (step, number), divisions, additions))
        events = rounds[-1].events
        if not rounds[-1].additions or events[-1].kind != "rejected":
            break
    events = [event for part in rounds for event in part.events]
    return dataclasses.replace(rounds[0], events=events)


def _round(
    judge: "Judge", moment: tuple[int, int], count: int, additions: int
) -> Check:
    """Add one proposal if the divisions agree, then more on the division it came from.

    Args:
        judge: What decides, for the whole check.
        moment: The step, and the number of the round at it: the examples follow.
        count: Number of divisions.
        additions: Number of proposals that earlier rounds of the check accepted.
    """
    run, growth = judge.run, judge.run.spec.growth
    search = Search(run, *moment, divisions=count)
    # Pools whose neurons feed the same layer share its site: it counts once.
    sites = {id(pool.heldout): pool.heldout for pool in search.pools()}
    current_score = sum(where.current_score for where in sites.values())
    division, events = 0, list[Expansion]()
    while additions + len(events) < growth.max_additions:
        # The other divisions do not know what this one installs: their sites would
        # promise the same gain once more.
        asked = [division] if events else range(count)
        choice = judge.choose(search, asked, len(events))
        if choice is None:
            break
        judged, proposal, hidden = choice.judged, choice.judged.proposal, run.hidden
        if choice.passes:
            division = choice.division
            proposal.install()
            judge.admit()
        events.append(
            Expansion(
                step=moment[0],
                kind=proposal.kind if choice.passes else "rejected",
                site=site(run.net, proposal.place),
                score_gain=proposal.score_gain,
                relative_gain=judged.heldout.gain / max(judged.current_score, 1e-30),
                current_score=judged.current_score,
                heldout_gain=judged.heldout.gain,
                heldout_z=judged.heldout.z,
                hidden_before=hidden,
                hidden_after=run.hidden,
                loss_before=search.loss,
            )
        )
        # After a new layer all that was measured is of another network.
        if not choice.passes or isinstance(proposal.pool, LayerPool):
            break
    return Check(loss=search.loss, current_score=current_score, events=events)


def at_cap(run: RunState) -> bool:
    """Tell whether caps on width and depth stop every place from growing."""
    cap = run.spec.model.max_hidden
    return all(width >= cap for width in run.hidden) and not run.may_insert


def _open(run: RunState, pools: list[Pool], additions: int) -> list[Pool]:
    """Return the places that may grow now, after some additions of this round."""

    def may_grow(pool: Pool) -> bool:
        if isinstance(pool, LayerPool):
            # What it knows of its linear layer is from before the additions.
            return additions == 0
        if pool.kind == "insert_layer":
            return True
        return run.hidden[site(run.net, pool.place)] < run.spec.model.max_hidden

    places = [pool for pool in pools if may_grow(pool)]
    kinds = [event.kind for event in run.trace.expansions]
    asked = [kind for kind in kinds if kind not in ("prune", "remove_layer")]
    if asked[-1:] != ["insert_layer"]:
        return places
    # The check before this one inserted a layer. It has the fewest neurons that it can
    # have, and is hardly trained: neurons come first, or layers would follow each other
    # before anything is learnt.
    neurons: list[Pool] = [p for p in places if not isinstance(p, LayerPool)]
    return neurons or places


@dataclass(frozen=True)
class Judged:
    """A proposal, and what it is worth on examples that it was not found on."""

    proposal: Proposal
    heldout: Heldout
    """Its gain, and how sure all divisions are that were asked."""
    least: float
    """The absolute threshold now, in units of the gain."""
    current_score: float
    """Score of the site before anything is done to it."""

    @property
    def gain(self) -> float:
        """The held-out gain."""
        return self.heldout.gain

    def passes(
        self, growth: GrowthConfig, *, tries: float = 1, on_trial: bool = False
    ) -> bool:
        """Decide: significant, above the absolute and above the relative threshold.

        Args:
            growth: The other thresholds.
            tries: Number of proposals judged, over the share of the rate of false
                acceptances that is theirs; the best of them is to be accepted by luck
                no more often than a single one (Bonferroni).
            on_trial: Whether the absolute threshold is enough for a neuron.
        """
        gain = self.gain
        # Only neurons come on trial: their removal is priced one by one.
        if on_trial and self.proposal.kind == "widen":
            return gain > self.least
        return (
            self.heldout.z >= corrected(growth.significance, tries)
            and gain > self.least
            and gain > growth.relative_threshold * self.current_score
        )


def corrected(z: float, tries: float) -> float:
    """Return the z that the best of some tries must reach, for the luck of one.

    Args:
        z: The z that a single try must reach, in standard errors.
        tries: Number of tries.
    """
    normal = NormalDist()
    luck = normal.cdf(-z) / tries
    return -normal.inv_cdf(luck) if luck > 0 else z


@dataclass(frozen=True)
class Choice:
    """The proposal that is chosen, and what is decided."""

    judged: Judged
    division: int
    """Which division of the examples found it."""
    passes: bool


class Judge:
    """Choose between places by what their best candidates are worth where it counts.

    Gains of the search are no guide: there the best of many candidates fits the noise,
    and the more so the noisier the gradients of a place are.

    One sure proposal in a check lets neurons in on trial after it: there is something
    to learn, and what they are worth shows when they have been trained, in the walk down.
    Where there is nothing, none is let in.
    """

    def __init__(self, run: RunState) -> None:
        self.run = run
        # Thresholds are in nats of loss; gains are in units of twice the loss.
        self.least = 2 * run.spec.growth.absolute_threshold * run.loss_unit
        """The absolute threshold, in units of the gain."""
        self._on_trial = False
        self._known: dict[int, tuple[Site, Judged]] = {}

    def choose(
        self, search: Search, divisions: Sequence[int], additions: int
    ) -> "Choice | None":
        """Choose a proposal, and decide.

        The first division is asked alone: where it is very sure, the others need no
        search, and neither where it expects harm. The rate of false acceptances is
        divided between the two looks.

        Args:
            search: Where candidates are found.
            divisions: Which divisions of the examples may be asked.
            additions: Number of additions since the search.

        Returns:
            The choice; none if no place may grow.
        """
        if len(divisions) == 1:
            return self._look(search, divisions, additions)
        first = self._look(search, divisions[:1], additions, share=FIRST_LOOK)
        if first is None or first.passes or first.judged.gain == 0:
            return first
        return self._look(search, divisions, additions, share=1 - FIRST_LOOK)

    def _look(
        self,
        search: Search,
        divisions: Sequence[int],
        additions: int,
        *,
        share: float = 1.0,
    ) -> "Choice | None":
        """Choose the largest held-out gain of those that pass, or else of all.

        ``share`` is the part of the rate of false acceptances that the look may use.
        """
        run, growth = self.run, self.run.spec.growth
        asked = [_open(run, search.pools(k), additions) for k in divisions]
        places = len(asked[0])
        if not places:
            return None
        if growth.score == "random":
            generator = run.generator("choice", *search.moment, additions)
            numbers = torch.randint(2**31, (2,), generator=generator).tolist()
            judged = self._judge(asked[0][numbers[0] % places].pick(numbers[1]))
            passes = judged.passes(growth, on_trial=self._on_trial)
            return Choice(judged, divisions[0], passes)
        choices: list[Choice] = []
        for place in zip(*asked, strict=True):
            # All divisions say together how sure they are that this place should grow;
            # how it would, and by how much, says the one that found the best neuron.
            # Their neurons differ, so gains cannot be averaged for one of them.
            each = [self._best(pool) for pool in place]
            best = max(range(len(each)), key=lambda k: each[k].heldout.gain)
            sure = agreed([judged.heldout for judged in each]).z
            heldout = dataclasses.replace(each[best].heldout, z=sure)
            judged = dataclasses.replace(each[best], heldout=heldout)
            tries = places / share
            passes = judged.passes(growth, tries=tries, on_trial=self._on_trial)
            choices.append(Choice(judged, divisions[best], passes))
        return max(choices, key=lambda choice: (choice.passes, choice.judged.gain))

    def admit(self) -> None:
        """Note that a proposal was accepted in this check."""
        self._on_trial = True

    def _best(self, pool: Pool) -> Judged:
        """Judge a pool's best candidate, again only if its site has changed."""
        known = self._known.get(id(pool))
        if known is None or known[0] is not pool.heldout:
            known = pool.heldout, self._judge(pool.best())
            self._known[id(pool)] = known
        return known[1]

    def _judge(self, proposal: Proposal) -> Judged:
        """Measure a proposal on the examples that it was not found on."""
        return Judged(
            proposal=proposal,
            heldout=proposal.judge(),
            least=self.least,
            current_score=proposal.current_score,
        )

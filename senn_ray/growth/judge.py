"""The judge: which proposal is worth most on examples it was not found on, and enough."""

import dataclasses
from dataclasses import dataclass
from statistics import NormalDist

import torch

from senn_ray.config import GrowthConfig
from senn_ray.growth.pools import Proposal
from senn_ray.growth.searcher import AnyPool
from senn_ray.maths.heldout import Heldout, agreed
from senn_ray.maths.score import Site
from senn_ray.training.run_state import RunState


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


class Judge:
    """Choose between places by what their best candidates are worth where it counts.

    Gains of the search are no guide: there the best of many candidates fits the noise,
    and the more so the noisier the gradients of a place are.

    While the network explores, one sure proposal in a check lets neurons in on trial
    after it: there is something to learn, and what they are worth shows when they have
    been trained and their removal is priced. Where there is nothing, none is let in.
    """

    def __init__(self, run: RunState, *, exploring: bool = False) -> None:
        self.run = run
        growth = run.spec.growth
        share = growth.exploration if exploring else 1.0
        self.least = 2 * share * growth.absolute_threshold * run.loss_unit
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
        growth, tries = self.run.spec.growth, len(divisions[0])
        if growth.score == "random":
            generator = self.run.generator("choice", *draw)
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
        growth = self.run.spec.growth
        return judged.passes(growth, tries=tries, on_trial=self._on_trial)

    def expects(self, divisions: list[list[AnyPool]]) -> bool:
        """Tell whether at any place the mean gain of all divisions passes.

        The largest, which ``choose`` goes by, is the luckiest where nothing is wanted.

        Args:
            divisions: Of each the places, with their candidates.
        """
        growth, tries = self.run.spec.growth, len(divisions[0])
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

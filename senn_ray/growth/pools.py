"""Pools: the neurons that could be added at one place, optimised for one decision."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from senn_ray.core.records import GrowthKind
from senn_ray.growth.sharing import climb
from senn_ray.maths.heldout import Heldout, heldout_gain
from senn_ray.maths.measured import measured_gain
from senn_ray.maths.proposals import Whitening, activations, initial_candidates
from senn_ray.maths.score import Gain, Reduce, Site, extend_site, score_gain
from senn_ray.nets.conv import conv
from senn_ray.nets.network import LayerIndex, Network
from senn_ray.nets.observe import View
from senn_ray.nets.surgery import Surgery, insert_block, widen
from senn_ray.training.cost import decision_flops
from senn_ray.training.run_state import RunState


class Proposal(Protocol):
    """A candidate that could be installed, and its score gain where it was found."""

    @property
    def kind(self) -> GrowthKind:
        """What would be done."""
        ...

    @property
    def place(self) -> LayerIndex:
        """Where."""
        ...

    @property
    def score_gain(self) -> float:
        """On the examples that it was optimised on."""
        ...

    @property
    def current_score(self) -> float:
        """Of the site as it is, on held-out examples."""
        ...

    def judge(self) -> Heldout:
        """Measure it on held-out examples."""
        ...

    def install(self, step: int) -> None:
        """Put it into the network, without changing the function."""
        ...


class NeuronPool:
    """Neurons that could be added to a hidden layer."""

    def __init__(
        self,
        run: RunState,
        view: View,
        sites: list[Site],
        whitening: Whitening,
        coordinates: Tensor,
        candidates: Tensor,
    ) -> None:
        """Hold optimised candidates.

        Args:
            run: The network that may grow.
            view: Where.
            sites: The site on the search half and on the held-out half; shared by the
                pools whose neurons feed the same linear layer, and kept up to date.
            whitening: How the coordinates were made.
            coordinates: x̃ [rows, r] of all examples, the search half first.
            candidates: [K, r + 1].
        """
        self.run = run
        self.place = view.place
        self.kind: GrowthKind = "insert_layer" if view.is_new else "widen"
        self.sites = sites
        self.fan_in = whitening.fan_in(candidates)
        values = activations(candidates, coordinates, run.net.family.fresh)
        split = len(self.search.gradients)
        self._search_values, self._heldout_values = values[:split], values[split:]
        self._taken = torch.zeros(len(candidates), dtype=torch.bool)
        self._scored: tuple[Site, Gain, Tensor] | None = None

    @property
    def search(self) -> Site:
        """The site on the examples that candidates are optimised on."""
        return self.sites[0]

    @property
    def heldout(self) -> Site:
        """The site on the other examples."""
        return self.sites[1]

    @property
    def _reduce(self) -> Reduce:
        return self.run.reduce

    def best(self) -> "NeuronProposal":
        """Propose the candidate with the largest score gain."""
        gain, promised = self._gains()
        free = promised.masked_fill(self._taken.to(promised.device), -torch.inf)
        k = int(free.argmax())
        return NeuronProposal(self, k, gain, self.kind, promised[k].item())

    def _gains(self) -> tuple[Gain, Tensor]:
        """Score the candidates; the tensor [K] is what counts between places."""
        # An addition elsewhere does not change what is known of this place.
        if self._scored is None or self._scored[0] is not self.search:
            values = self._search_values
            gain = score_gain(self.search, values, reduce=self._reduce)
            promised = measured_gain(self.search, values, gain, reduce=self._reduce)
            self._scored = self.search, gain, promised
        return self._scored[1:]

    def pick(self, number: int) -> "NeuronProposal":
        """Propose a candidate by its number, for the random control."""
        gain, promised = self._gains()
        free = (~self._taken).nonzero()[:, 0]
        k = int(free[number % len(free)])
        return NeuronProposal(self, k, gain, self.kind, promised[k].item())

    def judge(self, k: int, gain: Gain) -> Heldout:
        """Measure a candidate on held-out examples.

        Args:
            k: Which.
            gain: Score gains on the search half.
        """
        values = self._heldout_values[:, k]
        return heldout_gain(self.heldout, values, gain, k, reduce=self._reduce)

    def install(self, k: int, step: int) -> None:
        """Add a neuron, and measure the site again with it.

        One that makes a new layer turns this pool into the pool of that layer.

        Args:
            k: Which candidate.
            step: When.
        """
        fan_in = self.fan_in[k]
        change = self._add(self.run.net, fan_in)
        if self.run.best is not None:
            self._add(self.run.best, fan_in)
        self.run.follow(change, step)
        self.kind = "widen"
        self._taken[k] = True
        values = self._search_values[:, k], self._heldout_values[:, k]
        self.sites[:] = [
            extend_site(site, c, reduce=self._reduce)
            for site, c in zip(self.sites, values, strict=True)
        ]

    def _add(self, net: Network, fan_in: Tensor) -> Surgery:
        if self.kind == "insert_layer":
            return insert_block(conv(net), self.place.stage, fan_in)
        return widen(net, self.place, self._padded(fan_in))

    def _padded(self, fan_in: Tensor) -> Tensor:
        """Make room for neurons that this check has added to the layer before."""
        rows = self.run.net.tensors()[self.run.net.locate(self.place).rows]
        zeros = fan_in.new_zeros(rows.shape[1] - len(fan_in))
        return torch.cat([fan_in[:-1], zeros, fan_in[-1:]])


@dataclass(frozen=True)
class NeuronProposal:
    """A neuron that could be added."""

    pool: NeuronPool
    index: int
    gain: Gain
    kind: GrowthKind
    score_gain: float
    """On the examples that it was optimised on."""

    @property
    def place(self) -> LayerIndex:
        """Where."""
        return self.pool.place

    @property
    def current_score(self) -> float:
        """Of the site as it is, on held-out examples."""
        return self.pool.heldout.current_score

    def judge(self) -> Heldout:
        """Measure it on held-out examples."""
        return self.pool.judge(self.index, self.gain)

    def install(self, step: int) -> None:
        """Add it, its fan-out zero."""
        self.pool.install(self.index, step)


def neuron_pool(
    run: RunState,
    view: View,
    sites: list[Site],
    *,
    whitening: Whitening,
    coordinates: Tensor,
    generator: torch.Generator,
) -> NeuronPool:
    """Search the candidates of one place: start them, and let their gains ascend.

    Args:
        run: The network that may grow.
        view: Where.
        sites: The site on the search half and on the held-out half; the pool keeps and
            changes the list.
        whitening: How the coordinates were made.
        coordinates: x̃ [rows, r] of all examples, the search half first.
        generator: Source of chance, the same on all replicas.

    Returns:
        The pool.
    """
    growth, search = run.spec.growth, sites[0]
    own = coordinates[: len(search.gradients)]
    candidates = initial_candidates(
        search,
        own,
        whitening,
        count=growth.candidates,
        generator=generator,
        reduce=run.reduce,
    )
    steps = 0 if growth.score == "random" else growth.ascent_steps
    candidates = climb(run, search, candidates, own, steps=steps)
    run.ledger.count(
        decision_flops(
            examples=sum(round(site.weight * site.terms.positions) for site in sites),
            inputs=len(whitening.mean),
            rank=coordinates.shape[1],
            site=(search.dW.shape[1], search.dW.shape[0]),
            searches=growth.candidates * (steps + 1),
        )
    )
    return NeuronPool(run, view, sites, whitening, coordinates, candidates)

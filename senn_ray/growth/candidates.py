"""Candidates: what could be added at every place, optimised for one decision.

A *pool* holds the candidates of one place: neurons (``NeuronPool``), or hidden layers
(``LayerPool``). Its best one is a ``Proposal``, which can be judged on examples it was
not found on, and installed. Pools are made anew for every decision.

Nothing here touches the state of training unless a proposal is installed.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from senn_ray.core.records import GrowthKind
from senn_ray.growth.measure import (
    draw,
    measure,
    measure_halves,
    measure_whitenings,
    rows_of,
    site_metric,
)
from senn_ray.maths.heldout import (
    Halves,
    Heldout,
    Tried,
    extended,
    followed,
    heldout_gain,
    tried,
)
from senn_ray.maths.insertion import heldout_layer_gain, layer_gain
from senn_ray.maths.measured import measured_gain
from senn_ray.maths.proposals import (
    Whitening,
    activations,
    ascend,
    initial_candidates,
    symmetric_whitening,
)
from senn_ray.maths.score import Reduce, Site
from senn_ray.nets.conv import conv
from senn_ray.nets.mlp import dense
from senn_ray.nets.network import LayerIndex, Network
from senn_ray.nets.observe import View
from senn_ray.nets.surgery import (
    Mix,
    Surgery,
    insert_block,
    insert_layer,
    is_fan_in,
    widen,
)
from senn_ray.training.cost import decision_flops
from senn_ray.training.reducer import gather
from senn_ray.training.run_state import RunState

LARGEST_RATIO = 2.0
"""Bound on a singular value of B over their geometric mean, and on its inverse."""
LATENCY_S, BYTES_PER_S = 5e-4, 1e9
"""A message between two nodes of a usual cluster: 10 Gbit/s Ethernet."""


@dataclass(frozen=True)
class Proposal:
    """A candidate that could be installed, and its score gain where it was found."""

    pool: "Pool"
    index: int
    """Number of the candidate in its pool."""
    kind: GrowthKind
    place: LayerIndex
    score_gain: float
    """On the examples that it was optimised on."""
    current_score: float
    """Score of the site as it is, on held-out examples."""
    judge: Callable[[], Heldout]
    """Measures it on held-out examples."""
    install: Callable[[], None]
    """Puts it into the network, without changing the function."""


class Search:
    """The candidates of every place that may still grow, on one measurement.

    The examples are divided into those searched on and those held out in several ways;
    a division is searched when it is asked for.
    """

    def __init__(
        self, run: RunState, step: int, number: int = 0, *, divisions: int = 1
    ) -> None:
        """Measure the network.

        Args:
            run: The run; it is not changed.
            step: The step of the decision.
            number: The round at this step; examples and candidates follow from both.
            divisions: How often the examples are divided.
        """
        self.run = run
        self.moment = step, number
        self._drawn = draw(run, "decision", step, number, divisions=divisions)
        self._whitenings = measure_whitenings(run, self._drawn)
        self._measured = measure(
            run,
            run.net,
            self._drawn,
            whitenings=self._whitenings,
            with_inputs=run.may_insert_dense,
            depth_cap=run.spec.model.depth_cap,
        )
        error = self._measured.error
        self._metrics = [site_metric(run, at, error) for at in self._measured.layers]
        self._pools: dict[int, list[Pool]] = {}

    @property
    def loss(self) -> float:
        """The mean training loss on the decision examples."""
        return self._measured.loss

    def pools(self, division: int = 0) -> list["Pool"]:
        """Search one division: the same places, in the same order, for all of them."""
        if division not in self._pools:
            self._pools[division] = self._search(division)
        return self._pools[division]

    def _search(self, division: int) -> list["Pool"]:
        run, measured = self.run, self._measured
        halves = self._drawn.divisions[division]
        generator = run.generator("candidates", *self.moment, division)
        # Pools whose neurons feed the same linear layer share its site, so that what one
        # of them installs counts for the others.
        sites = [
            SharedSite(measure_halves(run, layer, metric, halves))
            for layer, metric in zip(measured.layers, self._metrics, strict=True)
        ]
        pools: list[Pool] = []
        for view, whitening, coordinates in zip(
            measured.views, self._whitenings, measured.coordinates, strict=True
        ):
            rows = rows_of(torch.cat(halves), measured.layers[view.layer].group)
            seen, shared = coordinates[rows], sites[view.layer]
            pools.append(NeuronPool(run, view, shared, whitening, seen, generator))
        if run.may_insert_dense:
            pools += [
                LayerPool(run, layer, shared.halves, generator)
                for layer, shared in enumerate(sites)
            ]
        return pools


@dataclass
class SharedSite:
    """The site of one linear layer, as it is after the additions so far."""

    halves: Halves


class NeuronPool:
    """Neurons that could be added to a hidden layer."""

    def __init__(
        self,
        run: RunState,
        view: View,
        shared: SharedSite,
        whitening: Whitening,
        coordinates: Tensor,
        generator: torch.Generator,
    ) -> None:
        """Start candidates, and let their score gains ascend.

        Args:
            run: The network that may grow.
            view: The place.
            shared: The site, for the pools whose neurons feed the same linear layer.
            whitening: How the coordinates were made.
            coordinates: x̃ [rows, r] of all examples, the search half first.
            generator: Source of chance, the same on all replicas.
        """
        self.run = run
        self.place = view.place
        self.kind: GrowthKind = "insert_layer" if view.is_new else "widen"
        self.shared = shared
        growth, split = run.spec.growth, len(self.search.gradients)
        own = coordinates[:split]
        candidates = initial_candidates(
            self.search,
            own,
            whitening,
            count=growth.candidates,
            generator=generator,
            reduce=run.reduce,
        )
        steps = 0 if growth.score == "random" else growth.ascent_steps
        candidates = _climb(run, self.search, candidates, own, steps=steps)
        run.ledger.count(
            decision_flops(
                examples=sum(
                    round(s.weight * s.terms.positions)
                    for s in (self.search, self.heldout)
                ),
                inputs=len(whitening.mean),
                rank=coordinates.shape[1],
                site=(self.search.dW.shape[1], self.search.dW.shape[0]),
                searches=growth.candidates * (steps + 1),
            )
        )
        self.fan_in = whitening.fan_in(candidates)
        values = activations(candidates, coordinates, run.net.family.fresh)
        self._values = values[:split], values[split:]
        self._taken = torch.zeros(len(candidates), dtype=torch.bool)
        self._tried: tuple[Halves, Tried, Tensor] | None = None

    @property
    def search(self) -> Site:
        """The site on the examples that candidates are optimised on."""
        return self.shared.halves.search

    @property
    def heldout(self) -> Site:
        """The site on the other examples."""
        return self.shared.halves.heldout

    def best(self) -> Proposal:
        """Propose the candidate with the largest score gain."""
        _, promised = self._gains()
        free = promised.masked_fill(self._taken.to(promised.device), -torch.inf)
        return self._propose(int(free.argmax()))

    def pick(self, number: int) -> Proposal:
        """Propose a candidate by its number, for the random control."""
        free = (~self._taken).nonzero()[:, 0]
        return self._propose(int(free[number % len(free)]))

    def _propose(self, k: int) -> Proposal:
        _, promised = self._gains()
        return Proposal(
            pool=self,
            index=k,
            kind=self.kind,
            place=self.place,
            score_gain=promised[k].item(),
            current_score=self.heldout.current_score,
            judge=partial(self._judge, k),
            install=partial(self._install, k),
        )

    def _gains(self) -> tuple[Tried, Tensor]:
        """Score the candidates; the tensor [K] is what counts between places."""
        known, halves, reduce = self._tried, self.shared.halves, self.run.reduce
        # An addition elsewhere does not change what is known of this place.
        if known is None or known[0] is not halves:
            now = (
                tried(halves, *self._values, reduce=reduce)
                if known is None
                else followed(halves, known[1], reduce=reduce)
            )
            search = now.search
            promised = measured_gain(
                halves.search, search.values, search.gain, reduce=reduce
            )
            known = self._tried = halves, now, promised
        return known[1:]

    def _judge(self, k: int) -> Heldout:
        now, _ = self._gains()
        return heldout_gain(self.shared.halves, now, k, reduce=self.run.reduce)

    def _install(self, k: int) -> None:
        """Add a neuron, and measure the site again with it."""
        fan_in, run = self.fan_in[k], self.run
        now, _ = self._gains()
        change = self._add(run.net, fan_in)
        # The best network so far is to have the same size: see ``RunState.best``.
        if run.best is not None:
            self._add(run.best, fan_in)
        run.optimizer.reshape(change)
        # A channel that made a new block turns this pool into the pool of that block.
        self.kind = "widen"
        self._taken[k] = True
        # The fan-out is zero, so no gradient has changed: the neuron is one more input
        # of the site, whose residual gradient no longer holds what it can explain.
        halves = self.shared.halves
        self.shared.halves = extended(halves, now, k, reduce=run.reduce)

    def _add(self, net: Network, fan_in: Tensor) -> Surgery:
        if self.kind == "insert_layer":
            return insert_block(conv(net), self.place.stage, fan_in)
        # Neurons that this check has added to the layer before are unknown to this one.
        rows = net.tensors()[net.locate(self.place).rows]
        zeros = fan_in.new_zeros(rows.shape[1] - len(fan_in))
        return widen(net, self.place, torch.cat([fan_in[:-1], zeros, fan_in[-1:]]))


class LayerPool:
    """Invertible maps B that could come before the nonlinearity of a new layer."""

    kind: GrowthKind = "insert_layer"

    def __init__(
        self,
        run: RunState,
        layer: int,
        halves: Halves,
        generator: torch.Generator,
    ) -> None:
        """Draw candidates.

        Args:
            run: The network that may grow, a multi-layer perceptron.
            layer: The linear layer that would be split.
            halves: The site on the search half and on the held-out half.
            generator: Source of chance, the same on all replicas.
        """
        self.run = run
        self.place = LayerIndex(0, layer)
        self.search, self.heldout = halves.search, halves.heldout
        # A quarter of the neurons' number: a layer is dearer to score than a neuron.
        self.mixes = initial_mixes(
            self._narrow(self.search),
            count=max(1, run.spec.growth.candidates // 4),
            generator=generator,
            reduce=run.reduce,
        )

    def best(self) -> Proposal:
        """Propose the map with the largest score gain."""
        return max(map(self.pick, range(len(self.mixes))), key=lambda p: p.score_gain)

    def pick(self, number: int) -> Proposal:
        """Propose a map by its number."""
        k = number % len(self.mixes)
        mix, reduce = self.mixes[k], self.run.reduce
        V = self._fan_out(mix)
        gain = layer_gain(
            self.search, self._features(self.search, mix), V, reduce=reduce
        )

        def judge() -> Heldout:
            seen = self._features(self.heldout, mix)
            return heldout_layer_gain(self.heldout, seen, V, gain, reduce=reduce)

        return Proposal(
            pool=self,
            index=k,
            kind=self.kind,
            place=self.place,
            score_gain=gain.exact,
            current_score=self.heldout.current_score,
            judge=judge,
            install=partial(self._install, mix),
        )

    @property
    def _weights(self) -> Tensor:
        net = self.run.net
        return net.tensors()[net.locate(self.place).rows].detach()

    def _narrow(self, site: Site) -> Tensor:
        """Return the narrower side of the linear layer: its inputs, or its outputs."""
        W, inputs = self._weights, site.activations
        return inputs[:, :-1] if is_fan_in(W) else inputs @ W.T

    def _features(self, site: Site, mix: Mix) -> Tensor:
        """Return what the parameters of the nonlinearity could add [n, m]."""
        h = mix(self._narrow(site))
        return torch.cat(self.run.net.family.directions(h), 1)

    def _fan_out(self, mix: Mix) -> Tensor:
        """Return the output direction of every feature [n_out, m]."""
        W, inverse = self._weights, torch.linalg.inv(mix.B)
        V = W[:, :-1] @ inverse if is_fan_in(W) else inverse
        return V.repeat(1, len(self.run.net.family.directions(mix.s)))

    def _install(self, mix: Mix) -> None:
        """Insert the layer, its nonlinearity at the identity."""
        run, layer = self.run, self.place.layer
        change = insert_layer(dense(run.net), layer, mix)
        if run.best is not None:
            insert_layer(dense(run.best), layer, mix)
        run.optimizer.reshape(change)


Pool = NeuronPool | LayerPool


def initial_mixes(
    u: Tensor, *, count: int, generator: torch.Generator, reduce: Reduce
) -> list[Mix]:
    """Draw well-conditioned maps of the narrower side of a linear layer.

    Each whitens roughly (singular values within a factor of ``LARGEST_RATIO`` of their
    mean), so that the neurons see values of order one, then rotates, and shifts by
    N(0, 1). The first one does not rotate.

    Args:
        u: Values [n, r] of this replica.
        count: Number of maps.
        generator: Source of chance, the same on all replicas.
        reduce: Sums over the gang.
    """
    whitening = symmetric_whitening(u, ratio=LARGEST_RATIO, reduce=reduce)
    mixes = []
    for k in range(count):
        noise = torch.randn(u.shape[1], u.shape[1] + 1, generator=generator)
        rotation, triangle = torch.linalg.qr(noise[:, :-1].double())
        # QR leaves the signs of the columns free: this choice makes them uniform.
        rotation = rotation * triangle.diagonal().sign()
        if k == 0:
            rotation = torch.eye(u.shape[1])
        B = rotation.to(u) @ whitening.basis
        mixes.append(Mix(B, noise[:, -1].to(u) - B @ whitening.mean))
    return mixes


def _climb(
    run: RunState, site: Site, candidates: Tensor, coordinates: Tensor, *, steps: int
) -> Tensor:
    """Let candidates [K, r + 1] ascend; the result is the same on all replicas.

    Candidates climb for ten steps, and each step of a gang that has divided the
    examples takes two messages. Dividing the candidates instead takes two messages in
    all: one that gives every replica all rows of the search half, one that brings the
    candidates home.
    """
    fresh, reducer = run.net.family.fresh, run.reducer
    parts = [site.activations, site.residual, coordinates]
    if site.roots is not None:
        parts.append(site.roots)
    widths = [part.shape[1] for part in parts]
    share = run.spec.growth.share
    if share == "auto":
        floats = round(site.weight * site.terms.positions) * sum(widths)
        cheaper = is_cheaper(floats, messages=2 * (steps + 1))
        share = "candidates" if cheaper else "examples"
    if share == "examples" or reducer.size == 1 or len(candidates) < reducer.size:
        return ascend(
            site, candidates, coordinates, fresh, steps=steps, reduce=run.reduce
        )[0]
    a, residual, x, *roots = gather(reducer, torch.cat(parts, 1)).split(widths, 1)
    full = dataclasses.replace(
        site,
        activations=a,
        residual=residual,
        added=a[:, :0],  # Candidates climb before anything is added.
        roots=roots[0] if roots else None,
    )
    own = candidates.tensor_split(reducer.size)[reducer.rank]
    own, _ = ascend(full, own, x, fresh, steps=steps, reduce=lambda sums: sums)
    return gather(reducer, own)


def is_cheaper(floats: int, messages: int) -> bool:
    """Tell whether one message of so many floats costs less than many small ones."""
    return 4 * floats / BYTES_PER_S < messages * LATENCY_S

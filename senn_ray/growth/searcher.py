"""The searcher: finds the best candidates of every place, for one decision."""

from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.growth.layer_pools import LayerPool
from senn_ray.growth.measure import (
    INPUT_DAMPING,
    Draw,
    Measured,
    curvature,
    draw,
    measure,
)
from senn_ray.growth.pools import NeuronPool, neuron_pool
from senn_ray.maths.kronecker import damped_cholesky
from senn_ray.maths.proposals import Whitening, whiten
from senn_ray.maths.score import Site, Terms, measure_site
from senn_ray.nets.capture import Layer
from senn_ray.nets.observe import Look, features
from senn_ray.training.cost import FORWARD, moment_flops
from senn_ray.training.run_state import RunState

WHITENING_SHRINKAGE = 0.1
WHITENING_ROWS = 4096
"""Examples (or examples times positions) for the coordinates of what neurons see. No
target enters them, so they may be the same for all divisions."""

DIRECTION_EXAMPLES = 4
"""Of the search half, for every direction that candidates look at: with fewer, what they
find is noise, and nothing is left of it on other examples."""


AnyPool = NeuronPool | LayerPool


@dataclass(frozen=True)
class _Metric:
    """By what the sites of a layer are measured, whatever the division."""

    terms: Terms
    chol_G: Tensor  # noqa: N815 — the paper's letter
    roots: Tensor | None


def _rows(examples: Tensor, group: int) -> Tensor:
    """Return the rows of some examples in a layer with so many rows for each."""
    at = torch.arange(group, device=examples.device)
    return (examples[:, None] * group + at).flatten()


class Searcher:
    """Measure sites and search their candidates, on fresh examples each time."""

    def __init__(self, run: RunState) -> None:
        self.run = run

    def search(
        self, step: int, number: int = 0, *, divisions: int = 1
    ) -> tuple[float, list[list[AnyPool]]]:
        """Find the best candidates of every place that may still grow.

        The network is measured once, however often the examples are divided.

        Args:
            step: Names the decision: its examples and candidates follow from it,
            number: and from the number of the round.
            divisions: Of the examples into those searched on and those held out.

        Returns:
            The mean training loss on the decision examples, and the pools of every
            division: the same places, in one order.
        """
        run = self.run
        drawn = draw(run, "decision", step, number, divisions=divisions)
        whitenings = self._whitenings(drawn)
        measured = measure(
            run,
            run.net,
            drawn,
            whitenings=whitenings,
            with_inputs=run.may_insert_dense,
            depth_cap=run.spec.model.depth_cap,
        )
        generator = run.generator("candidates", step, number)
        metrics = [self._metric(layer, measured.error) for layer in measured.layers]
        return measured.loss, [
            self._pools(measured, halves, metrics, whitenings, generator)
            for halves in drawn.divisions
        ]

    def _pools(
        self,
        measured: Measured,
        halves: tuple[Tensor, Tensor],
        metrics: list["_Metric"],
        whitenings: list[Whitening],
        generator: torch.Generator,
    ) -> list[AnyPool]:
        """Search the candidates of every place on one division of the examples."""
        run = self.run
        sites = [
            self._sites(layer, metric, halves)
            for layer, metric in zip(measured.layers, metrics, strict=True)
        ]
        groups = [measured.layers[view.layer].group for view in measured.views]
        pools: list[AnyPool] = [
            neuron_pool(
                run,
                view,
                sites[view.layer],
                whitening=whitening,
                coordinates=coordinates[_rows(torch.cat(halves), group)],
                generator=generator,
            )
            for view, group, whitening, coordinates in zip(
                measured.views, groups, whitenings, measured.coordinates, strict=True
            )
        ]
        if run.may_insert_dense:
            pools += [
                LayerPool(run, i, (both[0], both[1]), generator)
                for i, both in enumerate(sites)
            ]
        return pools

    def _metric(self, layer: Layer, error: float) -> "_Metric":
        """Measure the damped G of a layer on all examples of a decision."""
        growth = self.run.spec.growth
        terms = Terms(
            damping=INPUT_DAMPING * layer.positions,
            positions=layer.positions,
            group=layer.group,
            metric="gradient" if growth.score == "gradient" else "natural",
        )
        if terms.metric == "gradient":
            chol_G = torch.eye(layer.gradients.shape[1]).to(layer.gradients)
        else:
            # Relative to the gradient at the outputs: in units of the loss, and the
            # promise stays finite where the loss is near zero. There the curvature of
            # confident mistakes vanishes, but their gradient does not.
            G = curvature(self.run, layer, growth.damping * error)
            chol_G = damped_cholesky(G, 0.0)
        roots = None
        if layer.roots is not None and terms.metric == "natural":
            roots = layer.roots[0] + (growth.damping * error) ** 0.5 * layer.roots[1]
        return _Metric(terms, chol_G, roots)

    def _sites(
        self, layer: Layer, metric: "_Metric", halves: tuple[Tensor, Tensor]
    ) -> list[Site]:
        """Measure a site on both halves of the examples."""
        rows = [_rows(half, layer.group) for half in halves]
        return [
            measure_site(
                layer.inputs[half],
                layer.gradients[half],
                metric.chol_G,
                terms=metric.terms,
                reduce=self.run.reduce,
                roots=None if metric.roots is None else metric.roots[half],
            )
            for half in rows
        ]

    def _whitenings(self, drawn: Draw) -> list[Whitening]:
        """Find coordinates for what the neurons of every place look at.

        Those of a dense network's inputs are measured once: they do not change.
        """
        run = self.run
        places = run.net.places()
        if not (places and run.net.looks_at_inputs):
            return self._whiten_features(drawn)
        if run.whitening is None:
            x, count = self._some(drawn, WHITENING_ROWS)
            run.whitening = self._whiten(x, drawn, rows=count)
        later = self._whiten_features(drawn)[1:] if len(places) > 1 else []
        return [run.whitening, *later]

    def _whiten_features(self, drawn: Draw) -> list[Whitening]:
        """Whiten what the neurons of every place look at now, on some examples."""
        run = self.run
        group = max(map(len, drawn.positions), default=1)
        x, count = self._some(drawn, WHITENING_ROWS // group)
        run.ledger.visit(count, run.multiply_adds, FORWARD)
        look = Look(drawn.positions, run.spec.model.depth_cap)
        seen = features(run.net, x, look=look)
        return [self._whiten(x, drawn, rows=count * group) for x in seen]

    def _some(self, drawn: Draw, most: int) -> tuple[Tensor, int]:
        """Take this replica's share of so many examples; how many they are in all."""
        reducer = self.run.reducer
        own = range(reducer.rank, most, reducer.size)
        x, _ = self.run.train.batch(drawn.examples[: len(own)])
        return x, min(most, drawn.count)

    def _whiten(self, x: Tensor, drawn: Draw, *, rows: int) -> Whitening:
        run = self.run
        run.ledger.count(moment_flops(rows, x.shape[1]))
        most = max(drawn.search_count // DIRECTION_EXAMPLES, 1)
        return whiten(
            x,
            rank=min(run.spec.growth.rank, most),
            shrinkage=WHITENING_SHRINKAGE,
            reduce=run.reduce,
        )

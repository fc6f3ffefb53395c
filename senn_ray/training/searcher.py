"""The searcher: finds the best candidates of every place, for one decision."""

import torch
from torch import Tensor

from senn_ray.maths.kronecker import damped_cholesky
from senn_ray.maths.proposals import Whitening, whiten
from senn_ray.maths.score import Site, Terms, measure_site
from senn_ray.nets.capture import Layer
from senn_ray.nets.observe import features
from senn_ray.nets.views import Look
from senn_ray.training.layer_pools import LayerPool
from senn_ray.training.ledger import FORWARD, moment_flops
from senn_ray.training.measure import (
    INPUT_DAMPING,
    Draw,
    curvature,
    draw,
    measure,
)
from senn_ray.training.pools import NeuronPool, neuron_pool
from senn_ray.training.replica import Replica

WHITENING_SHRINKAGE = 0.1
WHITENING_ROWS = 4096
"""Examples (or examples times positions) of the search half, for the coordinates of
what changes while training."""


DIRECTION_EXAMPLES = 4
"""Of the search half, for every direction that candidates look at: with fewer, what they
find is noise, and nothing is left of it on other examples."""


class Searcher:
    """Measure sites and search their candidates, on fresh examples each time."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica

    def search(
        self, step: int, division: int = 0
    ) -> tuple[float, list[NeuronPool | LayerPool]]:
        """Find the best candidates of every place that may still grow.

        Args:
            step: Names the decision: its examples and candidates follow from it,
            division: and from the number of the division of the examples.

        Returns:
            The mean training loss on the decision examples, and the pools.
        """
        replica = self.replica
        drawn = draw(replica, "decision", step, division)
        whitenings = self._whitenings(drawn)
        measured = measure(
            replica,
            replica.net,
            drawn,
            whitenings=whitenings,
            with_inputs=replica.may_insert_dense,
            depth_cap=replica.spec.model.depth_cap,
        )
        sites = [
            self._sites(layer, measured.error, len(drawn.search))
            for layer in measured.layers
        ]
        generator = replica.generator("candidates", step, division)
        pools: list[NeuronPool | LayerPool] = [
            neuron_pool(
                replica,
                view,
                sites[view.layer],
                whitening=whitening,
                coordinates=coordinates,
                generator=generator,
            )
            for view, whitening, coordinates in zip(
                measured.views, whitenings, measured.coordinates, strict=True
            )
        ]
        if replica.may_insert_dense:
            pools += [
                LayerPool(replica, i, (both[0], both[1]), generator)
                for i, both in enumerate(sites)
            ]
        return measured.loss, pools

    def _sites(self, layer: Layer, error: float, examples: int) -> list[Site]:
        """Measure a site on both halves, with one damped G."""
        growth = self.replica.spec.growth
        split = examples * layer.group
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
            G = curvature(self.replica, layer, growth.damping * error)
            chol_G = damped_cholesky(G, 0.0)
        roots = None
        if layer.roots is not None and terms.metric == "natural":
            roots = layer.roots[0] + (growth.damping * error) ** 0.5 * layer.roots[1]
        return [
            measure_site(
                layer.inputs[half],
                layer.gradients[half],
                chol_G,
                terms=terms,
                reduce=self.replica.reduce,
                roots=None if roots is None else roots[half],
            )
            for half in (slice(None, split), slice(split, None))
        ]

    def _whitenings(self, drawn: Draw) -> list[Whitening]:
        """Find coordinates for what the neurons of every place look at.

        Those of a dense network's inputs are measured once: they do not change.
        """
        replica = self.replica
        places = replica.net.places()
        if not (places and replica.net.looks_at_inputs):
            return self._whiten_features(drawn)
        if replica.whitening is None:
            x, _ = replica.train.batch(drawn.search)
            replica.whitening = self._whiten(x, drawn, rows=drawn.search_count)
        later = self._whiten_features(drawn)[1:] if len(places) > 1 else []
        return [replica.whitening, *later]

    def _whiten_features(self, drawn: Draw) -> list[Whitening]:
        """Whiten what the neurons of every place look at now, on some examples."""
        replica = self.replica
        group = max(map(len, drawn.positions), default=1)
        most = WHITENING_ROWS // group
        own = range(replica.reducer.rank, most, replica.reducer.size)
        x, _ = replica.train.batch(drawn.search[: len(own)])
        count = min(most, drawn.search_count)
        replica.ledger.visit(count, replica.multiply_adds, FORWARD)
        look = Look(drawn.positions, replica.spec.model.depth_cap)
        seen = features(replica.net, x, look=look)
        return [self._whiten(x, drawn, rows=count * group) for x in seen]

    def _whiten(self, x: Tensor, drawn: Draw, *, rows: int) -> Whitening:
        replica = self.replica
        replica.ledger.count(moment_flops(rows, x.shape[1]))
        most = max(drawn.search_count // DIRECTION_EXAMPLES, 1)
        return whiten(
            x,
            rank=min(replica.spec.growth.rank, most),
            shrinkage=WHITENING_SHRINKAGE,
            reduce=replica.reduce,
        )

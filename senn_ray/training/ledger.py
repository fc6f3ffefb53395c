"""The cost ledger of a run: steps, sample visits, FLOPs and device-seconds.

FLOPs are counted from shapes (a multiply-add is two): 6 per parameter and example of a
training step, 2 of a forward pass, and the matrix products and factorisations of a
growth check. Counting operators at run time would miss the linear algebra.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from senn_ray.records import Cost

FORWARD, TRAINING = 2, 6


def decision_flops(
    *, examples: int, inputs: int, rank: int, site: tuple[int, int], searches: int
) -> float:
    """Count the work of one site's candidates beyond the pass through the network.

    Args:
        examples: Decision examples; half of them are searched on.
        inputs: Features that are mapped to ``rank`` coordinates.
        rank: Coordinates of a candidate.
        site: n_in and n_out of the layer that the neurons feed.
        searches: Candidates times gradient evaluations.

    Returns:
        Multiply-adds, counted twice: coordinates, moments and factors of the site, and
        per search and example the pre-activation with its backward pass, the
        projection on the present inputs and back, and the residual gradient twice.
    """
    n_in, n_out = site
    coordinates = 2.0 * examples * inputs * rank
    moments = 2.0 * examples * (n_in**2 + 2 * n_in * n_out) + n_in**3 + n_out**3
    search = 6.0 * rank + 4.0 * n_in + 4.0 * n_out
    return coordinates + moments + searches * search * examples / 2


def moment_flops(examples: int, size: int) -> float:
    """Count one second moment [size, size] over examples, and one factorisation."""
    return 2.0 * examples * size**2 + 2.0 * size**3


class Ledger:
    """Add up what a run uses, over the whole gang."""

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas
        self._start = time.perf_counter()
        self._growth_s = 0.0
        self.steps = 0
        self.sample_visits = 0
        self.flops = 0.0

    def visit(self, examples: int, params: int, flops_per_param: int) -> None:
        """Count examples that went through a network.

        Args:
            examples: How many.
            params: Parameters of the network.
            flops_per_param: ``FORWARD`` or ``TRAINING``.
        """
        self.sample_visits += examples
        self.flops += float(flops_per_param) * params * examples

    def count(self, flops: float) -> None:
        """Count other work, such as moments and factorisations."""
        self.flops += flops

    @contextmanager
    def growing(self) -> Iterator[None]:
        """Time statistics, proposals and surgery."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._growth_s += time.perf_counter() - start

    def wall_s(self) -> float:
        """Return the seconds since the run began."""
        return time.perf_counter() - self._start

    def cost(self) -> Cost:
        """Sum up."""
        return Cost(
            steps=self.steps,
            sample_visits=self.sample_visits,
            flops=self.flops,
            device_s=self.wall_s() * self._replicas,
            growth_s=self._growth_s * self._replicas,
        )

"""The cost ledger of a run: steps, sample visits, FLOPs and device-seconds.

FLOPs are counted from shapes (a multiply-add is two): 6 per parameter and example of a
training step, 2 of a forward pass, and the matrix products and factorisations of a
growth check. Counting operators at run time would miss the linear algebra.
"""

import functools
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from senn_ray.core.records import Cost

FORWARD, TRAINING = 2, 6
"""FLOPs of an example per multiply-add of the network."""
CPU_FACTS = Path("/proc/cpuinfo")


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


class CostLedger:
    """Add up what a run uses, over the whole gang.

    The seconds of the present piece of a run are measured; those of pieces before it
    (another size of the gang, another process) are carried.
    """

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas
        self._start = time.perf_counter()
        self._wall_s = self._device_s = 0.0
        self._growth_s = self._wasted_s = 0.0
        self.steps = 0
        self.sample_visits = 0
        self.flops = 0.0

    def visit(self, examples: int, params: int, flops_per_param: int) -> None:
        """Count examples that went through a network of so many parameters.

        Each costs ``FORWARD`` or ``TRAINING`` FLOPs a parameter.
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
            self._growth_s += (time.perf_counter() - start) * self._replicas

    def wall_s(self) -> float:
        """Return the seconds that the run has taken, lost work left out."""
        return self._wall_s + time.perf_counter() - self._start

    def resize(self, replicas: int) -> None:
        """Count for another number of replicas from now on."""
        now = self.state()
        self._replicas = replicas
        self.restore(now)

    def state(self) -> dict[str, float]:
        """Return what was used so far."""
        cost = self.cost()
        return {
            "steps": cost.steps,
            "sample_visits": cost.sample_visits,
            "flops": cost.flops,
            "wall_s": self.wall_s(),
            "device_s": cost.device_s,
            "growth_s": cost.growth_s,
            "wasted_s": cost.wasted_device_s,
        }

    def restore(self, state: dict[str, float]) -> None:
        """Go on counting from what ``state`` gave."""
        self.steps, self.sample_visits = (
            int(state["steps"]),
            int(state["sample_visits"]),
        )
        self.flops = state["flops"]
        self._wall_s, self._device_s = state["wall_s"], state["device_s"]
        self._growth_s, self._wasted_s = state["growth_s"], state["wasted_s"]
        self._start = time.perf_counter()

    def cost(self) -> Cost:
        """Sum up."""
        measured = time.perf_counter() - self._start
        return Cost(
            steps=self.steps,
            sample_visits=self.sample_visits,
            flops=self.flops,
            device_s=self._device_s + measured * self._replicas,
            growth_s=self._growth_s,
            wasted_device_s=self._wasted_s,
        )


def device_name(device: torch.device) -> str:
    """Name a device by its model: device-seconds of one name are one currency."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor_name(CPU_FACTS)


@functools.cache
def processor_name(facts: Path) -> str:
    """Name the processor by its model, if the system tells: all are x86_64."""
    try:
        lines = facts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    pairs = (line.partition(":") for line in lines)
    models = (
        " ".join(text.split())
        for name, _, text in pairs
        if name.strip() == "model name"
    )
    known = next(filter(None, models), "")
    return known or platform.processor() or platform.machine()

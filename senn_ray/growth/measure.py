"""Measuring a network for a decision: statistics of its sites, over the whole gang.

Examples are drawn (``draw``), the network is observed on them (``measure``), and every
linear layer that neurons feed becomes a ``Site`` on each half of them
(``measure_halves``): moments A, dW, the residual gradient, and the metric G.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.maths.heldout import Halves, halves_of
from senn_ray.maths.kronecker import damped_cholesky
from senn_ray.maths.proposals import Whitening, whiten
from senn_ray.maths.score import Terms, measure_site
from senn_ray.nets.capture import Layer, merge
from senn_ray.nets.network import Network
from senn_ray.nets.observe import Look, View, features, observe
from senn_ray.training.cost import FORWARD, moment_flops
from senn_ray.training.run_state import RunState

INPUT_DAMPING = 1e-3
"""Damping of A at every position; activations are of order 1."""
MOST_POSITIONS = 8
"""Positions of each example at which a convolution is looked at. More examples tell
more than more positions, whose neighbours see almost the same."""
WHITENING_SHRINKAGE = 0.1
WHITENING_ROWS = 4096
"""Examples (or examples times positions) for the coordinates of what neurons see. No
target enters them, so they may be the same for all divisions."""
DIRECTION_EXAMPLES = 4
"""Examples of the search half for every direction that candidates look at: with fewer,
what they find is noise, and nothing is left of it on other examples."""


@dataclass(frozen=True)
class Draw:
    """The examples of one decision: this replica's share of them."""

    examples: Tensor
    """Indices [n] of training examples, in random order."""
    divisions: list[tuple[Tensor, Tensor]]
    """For each division, places in ``examples`` to search on, and places held out."""
    probes: Tensor | None
    """Signs [n, 2, n_out]; none where curvature is exact."""
    count: int
    """Number of examples of the whole gang."""
    search_count: int
    """Number of those that each division searches on."""
    positions: list[Tensor]
    """Where each stage of a convolutional network is looked at, in all examples."""

    def batches(self, run: RunState) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """Yield features, targets and probes, in order."""
        start = 0
        for x, y in run.batches(self.examples):
            stop = start + len(x)
            yield x, y, None if self.probes is None else self.probes[start:stop]
            start = stop


def most_examples(run: RunState) -> int:
    """Return how many training examples one decision looks at, if there are so many."""
    return run.spec.growth.decision_examples or run.net.decision_examples


def draw(
    run: RunState, stream: str, *moment: int, share: float = 1.0, divisions: int = 1
) -> Draw:
    """Draw the examples of a decision, the same on all replicas, and divide them.

    Args:
        run: Whose training examples.
        stream: What they are for; with ``moment`` it seeds the draw.
        moment: The step, and the number of the decision at it.
        share: Fraction of ``most_examples``.
        divisions: How often they are divided into two parts.
    """
    generator = run.generator(stream, *moment)
    order = torch.randperm(len(run.train), generator=generator)
    most = round(share * most_examples(run))
    chosen = order[:most]
    # With plenty of examples, more of them judge than search: the search is dearer,
    # and a proposal need not be the very best one.
    cut = min((len(chosen) + 1) // 2, max(most // 3, 1))
    orders = [torch.arange(len(chosen))]
    orders += [
        torch.randperm(len(chosen), generator=generator) for _ in range(divisions - 1)
    ]
    # Chance is drawn on the host, so that it is the same on every device.
    device, probes = run.train.shift.device, None
    kind = run.spec.growth.curvature
    if kind == "auto":
        kind = "exact" if len(chosen) < run.net.exact_below else "sampled"
    if kind == "sampled":
        shape = (len(chosen), 2, run.num_outputs)
        signs = 2 * torch.randint(2, shape, generator=generator) - 1
        probes = run.shard(signs).to(run.train.shift)
    positions = [
        torch.randperm(count, generator=generator)[:MOST_POSITIONS]
        for count in run.net.position_counts
    ]
    return Draw(
        examples=run.shard(chosen),
        divisions=[
            (run.own(order[:cut]).to(device), run.own(order[cut:]).to(device))
            for order in orders
        ],
        probes=probes,
        count=len(chosen),
        search_count=cut,
        positions=positions,
    )


@dataclass(frozen=True)
class Measured:
    """A network on the examples of a decision."""

    loss: float
    """Mean over the gang."""
    error: float
    """Root mean square of the gradient at the outputs over the gang, in units of the
    curvature there: between 0 and about 1 for the softmax, 1 for the squared error."""
    layers: list[Layer]
    """The captured linear layers, this replica's rows."""
    views: list[View]
    """The places that may grow; their features are those of the last batch only."""
    coordinates: list[Tensor]
    """Coordinates of the features [rows, r], for each view, if whitenings were given."""


def measure(
    run: RunState,
    net: Network,
    drawn: Draw,
    *,
    whitenings: list[Whitening] | None = None,
    with_inputs: bool = False,
    depth_cap: int = 0,
) -> Measured:
    """Observe a network on the examples of a decision.

    Args:
        run: Whose examples and gang.
        net: The network: the run's own, or its best one.
        drawn: The examples.
        whitenings: Coordinates for the features of every view.
        with_inputs: Capture a dense network's first layer too.
        depth_cap: Stages of a convolutional network with fewer blocks than these get a
            view of another one.
    """
    look = Look(drawn.positions, depth_cap)
    captures, views = [], []
    coordinates: list[list[Tensor]] = [[] for _ in whitenings or []]
    for x, y, probes in drawn.batches(run):
        seen = observe(
            net, x, y, run.task, probes=probes, with_inputs=with_inputs, look=look
        )
        captures.append(seen.captured)
        views = seen.views
        # Features may have thousands of columns: only their coordinates are kept.
        for i, whitening in enumerate(whitenings or []):
            coordinates[i].append(whitening.coordinates(views[i].features))
    captured = merge(captures)
    run.ledger.visit(drawn.count, net.architecture().multiply_adds(), FORWARD)
    (sums,) = run.reduce([torch.stack([captured.loss, captured.power])])
    mean, power = (sums / drawn.count).tolist()
    return Measured(
        loss=mean,
        error=power**0.5 if run.task == "classification" else 1.0,
        layers=captured.layers,
        views=views,
        coordinates=[torch.cat(parts) for parts in coordinates],
    )


def curvature(run: RunState, layer: Layer, damping: float) -> Tensor:
    """Return the damped Gauss-Newton factor G of a layer, over the gang.

    The damping is one of the curvature at the network's outputs, pulled back like it, so
    the scale of the layer's own outputs does not matter.

    Args:
        run: Whose gang.
        layer: The layer, this replica's rows.
        damping: In units of the output curvature.

    Returns:
        G + damping JᵀJ [n_out, n_out], a mean over rows.
    """
    rows = layer.curvature.new_tensor([float(len(layer.gradients))])
    total, ridge, rows = run.reduce([layer.curvature, layer.ridge, rows])
    G = (total + damping * ridge) / rows
    # What reaches no output must not make the factor singular; rounding is of the size
    # of the largest eigenvalue, and the trace bounds that.
    tiny = torch.finfo(G.dtype).eps * G.diagonal().sum() + torch.finfo(G.dtype).tiny
    return G + 10 * tiny * torch.eye(len(G)).to(G)


def moment(run: RunState, layer: Layer) -> Tensor:
    """Return the damped second moment A of a layer's inputs, over the gang.

    Returns:
        [n_in + 1, n_in + 1]: a sum over positions, a mean over examples.
    """
    inputs = layer.inputs
    rows = inputs.new_tensor([float(len(inputs))])
    A, rows = run.reduce([inputs.T @ inputs, rows])
    run.ledger.count(moment_flops(int(rows.item()), len(A)))
    eye = torch.eye(len(A)).to(A)
    return layer.positions * (A / rows + INPUT_DAMPING * eye)


@dataclass(frozen=True)
class Metric:
    """The metric in which the sites of one layer are measured, whatever the division."""

    terms: Terms
    chol_G: Tensor  # noqa: N815 — the paper's letter
    roots: Tensor | None


def site_metric(run: RunState, layer: Layer, error: float) -> Metric:
    """Measure the damped G of a layer, on all examples of a decision at once.

    G holds no gradients, so it may be the same for the half that is searched on and the
    half that judges; measured on both it is twice as sure.

    Args:
        run: Whose gang and settings.
        layer: The linear layer, this replica's rows.
        error: That of ``Measured``.
    """
    growth = run.spec.growth
    natural = growth.score != "gradient"
    terms = Terms(
        damping=INPUT_DAMPING * layer.positions,
        positions=layer.positions,
        group=layer.group,
        metric="natural" if natural else "gradient",
    )
    if not natural:
        eye = torch.eye(layer.gradients.shape[1]).to(layer.gradients)
        return Metric(terms, eye, None)
    # Relative to the gradient at the outputs: in units of the loss, and the promise
    # stays finite where the loss is near zero. There the curvature of confident
    # mistakes vanishes, but their gradient does not.
    damping = growth.damping * error
    chol_G = damped_cholesky(curvature(run, layer, damping), 0.0)
    roots = layer.roots and layer.roots[0] + damping**0.5 * layer.roots[1]
    return Metric(terms, chol_G, roots)


def rows_of(examples: Tensor, group: int) -> Tensor:
    """Return the rows of some examples in a layer with ``group`` rows for each."""
    at = torch.arange(group, device=examples.device)
    return (examples[:, None] * group + at).flatten()


def measure_halves(
    run: RunState, layer: Layer, metric: Metric, halves: tuple[Tensor, Tensor]
) -> Halves:
    """Measure a site on the search half and on the held-out half of the examples."""
    search, heldout = (
        measure_site(
            layer.inputs[rows],
            layer.gradients[rows],
            metric.chol_G,
            terms=metric.terms,
            reduce=run.reduce,
            roots=None if metric.roots is None else metric.roots[rows],
        )
        for rows in (rows_of(half, layer.group) for half in halves)
    )
    return halves_of(search, heldout)


def measure_whitenings(run: RunState, drawn: Draw) -> list[Whitening]:
    """Find coordinates for what the neurons of every place look at, on some examples.

    Those of a dense network's inputs are measured once in a run: they do not change.
    """
    most_directions = max(drawn.search_count // DIRECTION_EXAMPLES, 1)

    def some(most: int) -> tuple[Tensor, int]:
        own = range(run.reducer.rank, most, run.reducer.size)
        x, _ = run.train.batch(drawn.examples[: len(own)])
        return x, min(most, drawn.count)

    def whitened(x: Tensor, rows: int) -> Whitening:
        run.ledger.count(moment_flops(rows, x.shape[1]))
        return whiten(
            x,
            rank=min(run.spec.growth.rank, most_directions),
            shrinkage=WHITENING_SHRINKAGE,
            reduce=run.reduce,
        )

    places, known = run.net.places(), list[Whitening]()
    if run.net.looks_at_inputs and places:
        if run.whitening is None:
            run.whitening = whitened(*some(WHITENING_ROWS))
        known = [run.whitening]
        if len(places) == 1:
            return known
    group = max(map(len, drawn.positions), default=1)
    x, count = some(WHITENING_ROWS // group)
    run.ledger.visit(count, run.multiply_adds, FORWARD)
    look = Look(drawn.positions, run.spec.model.depth_cap)
    seen = [whitened(f, count * group) for f in features(run.net, x, look=look)]
    return known + seen[len(known) :]

"""Measuring a network for a decision: its places on some examples of the gang."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from senn_ray.maths.losses import loss
from senn_ray.maths.proposals import Whitening
from senn_ray.nets.capture import Layer, merge
from senn_ray.nets.network import Network
from senn_ray.nets.observe import Look, View, observe
from senn_ray.training.cost import FORWARD, moment_flops
from senn_ray.training.run_state import RunState

INPUT_DAMPING = 1e-3
"""Damping of A at every position; activations are of order 1."""
MOST_POSITIONS = 8
"""Of each example, where a convolution is looked at. More examples tell more than more
positions, whose neighbours see almost the same."""


@dataclass(frozen=True)
class Draw:
    """The examples of one decision: this replica's share of them."""

    examples: Tensor
    """Indices [n] of training examples, in random order."""
    divisions: list[tuple[Tensor, Tensor]]
    """Of the examples: places in ``examples`` to search on, and places held out."""
    probes: Tensor | None
    """Signs [n, 2, n_out]."""
    count: int
    """Examples of the whole gang."""
    search_count: int
    """Those of them that each division searches on."""
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
    given = run.spec.growth.decision_examples
    return given or run.net.decision_examples


def draw(
    run: RunState,
    stream: str,
    *moment: int,
    share: float = 1.0,
    divisions: int = 1,
) -> Draw:
    """Draw the examples of a decision, the same on all replicas, and divide them.

    Args:
        run: Whose training examples.
        stream: What they are for.
        moment: Names the decision.
        share: Of the most examples for one decision.
        divisions: How often they are divided.

    Returns:
        This replica's share.
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
    curvature = run.spec.growth.curvature
    if curvature == "auto":
        curvature = "exact" if len(chosen) < run.net.exact_below else "sampled"
    if curvature == "sampled":
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
    """Of the features [rows, r], for each view, if whitenings were given."""


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
        net: The network.
        drawn: The examples.
        whitenings: Coordinates for the features of every view.
        with_inputs: Capture a dense network's first layer too.
        depth_cap: Stages of a convolutional network with fewer blocks than these get a
            view of another one.

    Returns:
        What was measured.
    """
    look = Look(drawn.positions, depth_cap)
    captures, views = [], []
    coordinates: list[list[Tensor]] = [[] for _ in whitenings or []]
    for x, y, probes in drawn.batches(run):
        seen = observe(
            net,
            x,
            y,
            run.task,
            probes=probes,
            with_inputs=with_inputs,
            look=look,
        )
        captures.append(seen.captured)
        views = seen.views
        for i, whitening in enumerate(whitenings or []):
            coordinates[i].append(whitening.coordinates(views[i].features))
    captured = merge(captures)
    run.ledger.visit(drawn.count, net.architecture().multiply_adds(), FORWARD)
    (sums,) = run.reduce([torch.stack([captured.loss, captured.power])])
    loss, power = (sums / drawn.count).tolist()
    return Measured(
        loss=loss,
        error=power**0.5 if run.task == "classification" else 1.0,
        layers=captured.layers,
        views=views,
        coordinates=[torch.cat(parts) for parts in coordinates],
    )


def mean_loss(run: RunState, net: Network, drawn: Draw) -> float:
    """Measure just the loss on the examples of a decision.

    Args:
        run: Whose examples and gang.
        net: The network.
        drawn: The examples.

    Returns:
        The mean over the gang.
    """
    losses = [loss(net(x), y, run.task) * len(x) for x, y, _ in drawn.batches(run)]
    run.ledger.visit(drawn.count, net.architecture().multiply_adds(), FORWARD)
    (total,) = run.reduce([torch.stack(losses).sum()])
    return total.item() / drawn.count


def curvature(run: RunState, layer: Layer, damping: float) -> Tensor:
    """Return the damped Gauss-Newton factor G of a layer, over the gang.

    The damping is one of the curvature at the network's outputs, pulled back like it:
    what a layer's units are does not matter.

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

    Args:
        run: Whose gang.
        layer: The layer, this replica's rows.

    Returns:
        [n_in + 1, n_in + 1]: a sum over positions, a mean over examples.
    """
    inputs = layer.inputs
    rows = inputs.new_tensor([float(len(inputs))])
    A, rows = run.reduce([inputs.T @ inputs, rows])
    run.ledger.count(moment_flops(int(rows.item()), len(A)))
    eye = torch.eye(len(A)).to(A)
    return layer.positions * (A / rows + INPUT_DAMPING * eye)

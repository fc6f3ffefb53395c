"""Pruning by magnitude: the control that knows its widths beforehand.

What people do with pruning libraries: one wide run per size, its neurons with the
smallest weights removed in stages in mid-schedule, then trained on and annealed. Of
eight variants that were measured, this one was the strongest (``docs/growth-notes.md``).
"""

import torch
from torch import Tensor

from senn_ray.core.records import Expansion
from senn_ray.nets.network import LayerIndex, Network
from senn_ray.nets.surgery import prune, site
from senn_ray.training.run_state import RunState
from senn_ray.training.schedule import Schedule

STAGES = 12
"""Number of times that neurons go."""
WINDOW = (0.3, 0.6)
"""Fractions of a plain run's steps between which they go."""


@torch.no_grad()
def shrink_by_magnitude(run: RunState, schedule: Schedule) -> None:
    """Remove the neurons with the smallest weights, if this is the step for it."""
    final = run.spec.shrink_to
    stage = _stage(run.step, schedule.steps)
    if not final or stage is None:
        return
    start, place_of = run.spec.model.hidden, run.net.places()
    for place, first, last in zip(place_of, start, final, strict=True):
        width = round(first + (last - first) * stage / STAGES)
        while len(norms := magnitudes(run.net, place)) > width:
            _remove(run, place, int(norms.argmin()))
    # An evaluation of a network of another size is not one of this run's result.
    run.best, run.trace.best = None, None


def magnitudes(net: Network, place: LayerIndex) -> Tensor:
    """Return the squared norm of every neuron's fan-in and fan-out [n], without biases."""
    parts, tensors = net.locate(place), net.tensors()
    fan_in, fan_out = tensors[parts.rows][:, :-1], tensors[parts.columns][:, :-1]
    return fan_in.square().sum(1) + fan_out.square().sum(0)


def _stage(step: int, steps: int) -> int | None:
    """Return the number of the stage that begins before a step, from 1; or nothing."""
    first, last = (round(share * steps) for share in WINDOW)
    moments = [first + round((last - first) * k / STAGES) for k in range(1, STAGES + 1)]
    # A short schedule may have several stages at one step: the last of them counts.
    return max((k for k, at in enumerate(moments, 1) if at == step), default=None)


def _remove(run: RunState, place: LayerIndex, index: int) -> None:
    before, number = run.hidden, site(run.net, place)
    run.optimizer.reshape(prune(run.net, place, index))
    run.trace.expansions.append(
        Expansion(
            step=run.step,
            kind="prune",
            site=number,
            hidden_before=before,
            hidden_after=run.hidden,
        )
    )

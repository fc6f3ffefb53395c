"""A model of the time of a step: latency, bandwidth, FLOPs.

    step(n) = 6 P B / (n F)  +  2 (n - 1) L  +  2 (n - 1)/n · 4 P / W

P parameters of 4 bytes, B examples in the whole batch, n replicas with F FLOP/s each,
a ring with latency L and bandwidth W a hop. Assumed: all replicas and links are alike,
the gradient is one message that begins when the last example is through (no overlap),
and nothing else is serial. A tree would replace n - 1 hops by 2 log n.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What was fitted."""

    flops: float
    latency_s: float
    bytes_per_s: float


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is predicted."""

    seconds: float
    message_s: float


def fit(*, flops: float, messages: dict[int, list[tuple[int, float]]]) -> Machine:
    """Fit latency and bandwidth to timed messages.

    Args:
        flops: Of one replica.
        messages: By replicas, bytes and seconds of messages.
    """
    rows = [
        (2 * (n - 1), 2 * (n - 1) / n * size, seconds)
        for n, timed in messages.items()
        for size, seconds in timed
    ]
    hops, sent, seconds = np.array(rows).T
    # Relative errors count alike, so that small messages fix the latency.
    design = np.stack([hops, sent], 1) / seconds[:, None]
    latency, slowness = np.linalg.lstsq(design, np.ones(len(rows)))[0]
    return Machine(
        flops=flops,
        latency_s=max(float(latency), 1e-9),
        bytes_per_s=1 / max(float(slowness), 1e-15),
    )


def predict(machine: Machine, *, replicas: int, params: int, batch: int) -> Step:
    """Predict one step.

    Args:
        machine: What was fitted.
        replicas: The size of the gang.
        params: Parameters of the network.
        batch: Examples of the whole gang.
    """
    hops = 2 * (replicas - 1)
    message = hops * machine.latency_s
    message += hops / replicas * 4 * params / machine.bytes_per_s
    work = 6.0 * params * batch / replicas / machine.flops
    return Step(seconds=work + message, message_s=message)

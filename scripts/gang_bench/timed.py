"""Where the time of a step goes: computing, waiting for the slowest, the message."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Timed:
    """The steps of a gang, or of runs side by side, by the clock of the machine."""

    steps: np.ndarray
    """[replica, step, 5]: started, arrived at the message, left it, ended, CPU seconds;
    all in seconds."""
    params: int
    bytes: int
    """Of the message of a step; nothing is sent where there are none."""
    messages: list[tuple[int, float]]
    """Bytes and seconds of messages of several lengths."""

    @property
    def quiet(self) -> np.ndarray:
        """The least busy quarter of the steps: others use this machine too."""
        seconds = (self.steps[..., 3] - self.steps[..., 0]).mean(0)
        best = np.argsort(seconds)[: max(len(seconds) // 4, 1)]
        return self.steps[:, best]

    @property
    def step_s(self) -> float:
        """Of a quiet step, on average over the replicas."""
        return float((self.quiet[..., 3] - self.quiet[..., 0]).mean())

    @property
    def message_s(self) -> float:
        """From the arrival of the last replica until the sum is there."""
        if not self.bytes:
            return 0.0
        last = self.quiet[..., 1].max(0)
        return float((self.quiet[..., 2] - last).mean())

    @property
    def waiting_s(self) -> float:
        """What replicas wait for the last one to arrive, on average."""
        if not self.bytes:
            return 0.0
        arrived = self.quiet[..., 1]
        return float((arrived.max(0) - arrived).mean())

    @property
    def work_s(self) -> float:
        """CPU seconds of all replicas, messages included; waiting is not work."""
        return float(np.median(self.steps[..., 4], axis=1).sum())


Rounds = Sequence[Mapping[tuple[str, int], Timed]]
"""By kind and number of replicas."""


def pooled(rounds: Rounds, case: tuple[str, int]) -> Timed:
    """Put the steps of all rounds together.

    Args:
        rounds: What was measured.
        case: A kind and a number of replicas.
    """
    steps = np.concatenate([found[case].steps for found in rounds], axis=1)
    return dataclasses.replace(rounds[0][case], steps=steps)


def print_scaling(rounds: Rounds, *, width: int, batch: int) -> None:
    """Print where the time of a step goes, and what is lost against one replica alone.

    Args:
        rounds: What was measured.
        width: Of the hidden layer.
        batch: Examples of a step of the whole gang.
    """
    rows = {case: pooled(rounds, case) for case in rounds[0]}
    alone = rows["strong", 1]
    params = alone.params
    print(
        f"width {width}, batch {batch}, {params} parameters, "
        f"{len(rounds)} rounds; ms of a step, the quiet quarter of all"
    )
    print(
        "kind    replicas  ms/step = computing + waiting + message  "
        "efficiency (rounds)   by work  bytes / gradient"
    )
    for (kind, size), row in rows.items():
        times = size if kind == "weak" else 1
        single = [
            found["strong", 1].step_s * times / size / found[kind, size].step_s
            for found in rounds
        ]
        parts = (row.step_s, row.step_s - row.waiting_s - row.message_s)
        step, computing, waiting, message = (
            1e3 * part for part in (*parts, row.waiting_s, row.message_s)
        )
        print(
            f"{kind:7} {size:8}  {step:7.1f}   {computing:9.1f}   {waiting:7.1f}   "
            f"{message:7.1f}  {alone.step_s * times / size / row.step_s:10.0%} "
            f"({min(single):.0%} to {max(single):.0%})  "
            f"{alone.work_s * times / row.work_s:6.0%}  {row.bytes / (4 * params):.5f}"
        )
    print("apart: as many processes that send nothing, what the machine gives at most")
    print("waiting: for the slowest replica of a step; who is it changes by chance")
    print(
        f"all share {os.cpu_count()} cores; by work: CPU seconds alone "
        "over those of the gang, which other programs on the machine do not change"
    )

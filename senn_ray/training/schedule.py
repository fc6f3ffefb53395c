"""The schedule of a run: known before it starts, and the same for every arm."""

import math
from dataclasses import dataclass

from senn_ray.config import GrowthConfig, TrainConfig

COOLDOWN_SLICES = 15
FIRST_PRUNING = 3
FINAL_RATE = 0.02
"""The last learning rate, as a share of the first."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a run measures, checks for growth, cools down, prunes and stops.

    Growing and fixed runs have the same steps, rates and measurements; nothing here
    depends on what growth decides.
    """

    steps: int
    cooldown_start: int
    lr: float
    check_every: int
    evaluate_every: int
    slice: int

    def rate(self, step: int) -> float:
        """Return the learning rate of a step: constant, then falling linearly."""
        span = self.steps - self.cooldown_start
        left = 1 - max(0, step - self.cooldown_start) / span
        return self.lr * max(FINAL_RATE, left)

    def checks_growth(self, step: int) -> bool:
        """Tell whether growth is checked before this step."""
        late = step > self.steps - FIRST_PRUNING * self.slice
        return step > 0 and step % self.check_every == 0 and not late

    def prunes(self, step: int) -> bool:
        """Tell whether neurons are pruned before this step."""
        done = step - self.cooldown_start
        return done >= FIRST_PRUNING * self.slice and done % self.slice == 0

    def evaluates(self, step: int) -> bool:
        """Tell whether the validation loss is measured before this step."""
        return step > 0 and (step % self.evaluate_every == 0 or step == self.steps)


def make_schedule(train: TrainConfig, growth: GrowthConfig, n_train: int) -> Schedule:
    """Lay out a run.

    Args:
        train: How long to train: so many epochs, within bounds on the steps.
        growth: How many checks.
        n_train: Training examples.

    Returns:
        The schedule.
    """
    steps = max(train.min_steps, math.ceil(train.epochs * n_train / train.batch_size))
    steps = min(steps, train.max_steps or steps)
    cooldown_start = round(steps * (1 - train.cooldown))
    return Schedule(
        steps=steps,
        cooldown_start=cooldown_start,
        lr=train.lr,
        check_every=max(1, steps // growth.checks),
        evaluate_every=max(1, steps // train.evaluations),
        slice=max(1, (steps - cooldown_start) // COOLDOWN_SLICES),
    )

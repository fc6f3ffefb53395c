"""The schedule of a run: known before it starts, and the same for every arm."""

from dataclasses import dataclass

from senn_ray.config import GrowthConfig, TrainConfig

COOLDOWN_SLICES = 15
GRACE_SLICES = 3
"""Slices of the cool-down that a neuron gets to earn its keep: until the first pruning
for all, and later for those that are added then."""
LEAST_STEPS = 25
"""Least number of steps between checks, if nothing is said: so few examples are
memorised soon after."""
FINAL_RATE = 0.02
"""The last learning rate, as a fraction of the first."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a run measures, checks for growth, cools down, prunes and stops.

    Growing and fixed runs have the same steps, rates and measurements; nothing here
    depends on what growth decides.
    """

    steps: int
    cooldown_start: int
    lr: float
    checks: frozenset[int]
    """Steps before which growth is checked."""
    evaluate_every: int
    slice: int
    first_pruning: int
    """Pruning begins before this step."""

    def rate(self, step: int) -> float:
        """Return the learning rate of a step: constant, then falling linearly."""
        span = self.steps - self.cooldown_start
        left = 1 - max(0, step - self.cooldown_start) / span
        return self.lr * max(FINAL_RATE, left)

    def checks_growth(self, step: int) -> bool:
        """Tell whether growth is checked before this step."""
        return step in self.checks

    def prunes(self, step: int) -> bool:
        """Tell whether neurons are pruned before this step."""
        done = step - self.first_pruning
        return done >= 0 and done % self.slice == 0

    def prunable_before(self, step: int) -> int:
        """Return the step before which a neuron was added if it may be pruned now."""
        return step - GRACE_SLICES * self.slice

    def evaluates(self, step: int) -> bool:
        """Tell whether the validation loss is measured before this step."""
        return step > 0 and (step % self.evaluate_every == 0 or step == self.steps)


def make_schedule(train: TrainConfig, growth: GrowthConfig, n_train: int) -> Schedule:
    """Lay out a run on so many training examples."""
    steps = train.steps(n_train)
    cooldown_start = round(steps * (1 - train.cooldown))
    slice_steps = max(1, (steps - cooldown_start) // COOLDOWN_SLICES)
    half_pass = n_train // (2 * train.batch_size)
    every = growth.check_every or max(LEAST_STEPS, half_pass)
    # Early steps change much and are cheap to wait for; later checks are a constant
    # factor apart, so their number grows with the logarithm of the steps.
    checks, step = [], every
    while step < cooldown_start:
        checks.append(step)
        step += max(every, round(growth.check_spacing * step))
    # In the cool-down every slice asks, as long as there is time to train what it adds.
    last = steps - GRACE_SLICES * slice_steps
    checks += range(cooldown_start + slice_steps, last + 1, slice_steps)
    return Schedule(
        steps=steps,
        cooldown_start=cooldown_start,
        lr=train.lr,
        checks=frozenset(checks),
        evaluate_every=max(1, steps // train.evaluations),
        slice=slice_steps,
        first_pruning=cooldown_start + GRACE_SLICES * slice_steps,
    )

"""The schedule of a run: a trunk at the full rate, then a descent of one or more rungs.

    trunk      constant rate; a growing network is checked for growth
    descent    rungs of equal length, in each of which the rate falls from full to 2 %

A plain run has one rung, its cool-down. A run that is walked down (a *front*) is pruned
before every rung but the first. Its trunk ends when growth does; all else is known before
the run starts, and the same for every arm.
"""

from dataclasses import dataclass

from senn_ray.config import FrontConfig, GrowthConfig, TrainConfig

LEAST_STEPS = 25
"""Least number of steps between checks, if nothing is said: so few examples are
memorised soon after."""
FINAL_RATE = 0.02
"""The last learning rate, as a fraction of the first."""
RUNG_SHARE = 16
"""Steps of a plain run over those of a rung, if nothing is said."""
RUNG_EVALUATIONS = 4
"""Evaluations of a rung; the best of them is kept."""
SHORTEST_TRUNK = 0.25
"""Least steps of a trunk, as a fraction of those of a plain run."""
QUIET_CHECKS = 2
"""Number of growth checks in a row without an addition that end a trunk."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a run measures, checks for growth, descends and stops."""

    steps: int
    """Steps of a plain run."""
    longest_trunk: int
    shortest_trunk: int
    rung_steps: int
    lr: float
    checks: frozenset[int]
    """Steps before which growth is checked, in the trunk."""
    trunk_evaluations: int
    """Steps between evaluations in the trunk."""
    rung_evaluations: int
    """Steps between evaluations of a rung."""
    walks: bool
    """Whether the run has more rungs than one."""

    def rate(self, step: int, descent: int | None) -> float:
        """Return the learning rate of a step: constant, then falling in every rung.

        Args:
            step: The step.
            descent: The first step of the descent; nothing in the trunk.
        """
        if descent is None:
            return self.lr
        left = 1 - (step - descent) % self.rung_steps / self.rung_steps
        return self.lr * max(FINAL_RATE, left)

    def trunk_ends(self, step: int, quiet_checks: int) -> bool:
        """Tell whether the trunk ends before a step.

        Args:
            step: The step.
            quiet_checks: Growth checks in a row, up to now, without an addition.
        """
        settled = quiet_checks >= QUIET_CHECKS and step >= self.shortest_trunk
        return settled or step >= self.longest_trunk

    def rung_ends(self, step: int, descent: int | None) -> bool:
        """Tell whether a rung ends before a step."""
        if descent is None or step <= descent:
            return False
        return (step - descent) % self.rung_steps == 0

    def evaluates(self, step: int, descent: int | None) -> bool:
        """Tell whether the validation loss is measured before a step."""
        if self.rung_ends(step, descent):
            return True
        if descent is None or not self.walks:
            return step > 0 and step % self.trunk_evaluations == 0
        done = (step - descent) % self.rung_steps
        return done > 0 and done % self.rung_evaluations == 0


def make_schedule(
    train: TrainConfig,
    growth: GrowthConfig,
    front: FrontConfig | None,
    n_train: int,
) -> Schedule:
    """Lay out a run on so many training examples.

    Args:
        train: Steps, rate and evaluations.
        growth: When growth is checked; disabled, the trunk has a fixed length.
        front: How the network is walked down, if it is.
        n_train: Number of training examples.
    """
    steps = train.steps(n_train)
    # The last rung has a step at least.
    annealed = min(round(steps * (1 - train.cooldown)), steps - 1)
    longest, shortest, rung = annealed, annealed, steps - annealed
    if front is not None:
        rung = front.rung_steps or max(1, steps // RUNG_SHARE)
        shortest = round(SHORTEST_TRUNK * steps)
        if not growth.enabled:
            longest = shortest = round(
                (SHORTEST_TRUNK + 1 - train.cooldown) / 2 * steps
            )
    half_pass = n_train // (2 * train.batch_size)
    every = growth.check_every or max(LEAST_STEPS, half_pass)
    # Early steps change much and are cheap to wait for; later checks are a constant
    # factor apart, so their number grows with the logarithm of the steps.
    checks, step = set[int](), every
    while growth.enabled and step < longest:
        checks.add(step)
        step += max(every, round(growth.check_spacing * step))
    return Schedule(
        steps=steps,
        longest_trunk=longest,
        shortest_trunk=shortest,
        rung_steps=rung,
        lr=train.lr,
        checks=frozenset(checks),
        trunk_evaluations=max(1, steps // train.evaluations),
        rung_evaluations=max(1, rung // RUNG_EVALUATIONS),
        walks=front is not None,
    )

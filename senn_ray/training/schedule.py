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
WALK_SHARE = 1.0
"""Steps of all rungs together over those of a plain run, if nothing is said."""
RUNG_EVALUATIONS = 4
"""Evaluations of a rung; the best of them is kept."""
SHORTEST_TRUNK = 0.4
"""Least steps of a trunk, as a fraction of those of a plain run."""


@dataclass(frozen=True, slots=True)
class Descent:
    """The part of a run after its trunk."""

    start: int
    """Its first step."""
    rung_steps: int

    def done(self, step: int) -> int:
        """Return how many steps of its rung come before a step."""
        return (step - self.start) % self.rung_steps

    def ends(self, step: int) -> bool:
        """Tell whether a rung ends before a step."""
        return step > self.start and self.done(step) == 0


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a run measures, checks for growth, descends and stops."""

    steps: int
    """Steps of a plain run."""
    longest_trunk: int
    shortest_trunk: int
    walk_steps: int
    """Of all rungs together."""
    rung_steps: int | None
    """Of each rung, if that was said."""
    lr: float
    checks: frozenset[int]
    """Steps before which growth is checked, in the trunk."""
    trunk_evaluations: int
    """Steps between evaluations in the trunk."""
    walks: bool
    """Whether the run has more rungs than one."""

    def rate(self, step: int, descent: Descent | None) -> float:
        """Return the learning rate of a step: constant, then falling in every rung."""
        if descent is None:
            return self.lr
        left = 1 - descent.done(step) / descent.rung_steps
        return self.lr * max(FINAL_RATE, left)

    def trunk_ends(self, step: int, *, is_settled: bool) -> bool:
        """Tell whether the trunk ends before a step.

        Args:
            step: The step.
            is_settled: Whether the last growth check accepted nothing.
        """
        may_end = is_settled and step >= self.shortest_trunk
        return may_end or step >= self.longest_trunk

    def descent(self, step: int, rungs: int) -> Descent:
        """Lay out so many rungs from a step on."""
        return Descent(step, self.rung_steps or max(1, self.walk_steps // rungs))

    def evaluates(self, step: int, descent: Descent | None) -> bool:
        """Tell whether the validation loss is measured before a step."""
        if descent is not None and descent.ends(step):
            return True
        if descent is None or not self.walks:
            return step > 0 and step % self.trunk_evaluations == 0
        done, every = descent.done(step), descent.rung_steps // RUNG_EVALUATIONS
        return done > 0 and done % max(1, every) == 0


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
    longest, shortest, walk = annealed, annealed, steps - annealed
    if front is not None:
        walk = round(WALK_SHARE * steps)
        shortest = round(SHORTEST_TRUNK * steps)
        if not growth.enabled:
            longest = shortest
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
        walk_steps=walk,
        rung_steps=front.rung_steps if front else None,
        lr=train.lr,
        checks=frozenset(checks),
        trunk_evaluations=max(1, steps // train.evaluations),
        walks=front is not None,
    )

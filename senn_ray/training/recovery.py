"""Recovery: a gang that has lost a replica goes on from the start of the round.

The survivors roll back in memory, whoever takes the empty seat adopts their state by
one broadcast, and the steps since then are taken again. Batches and decisions follow
from (seed, step), so the run ends bitwise as if nothing had happened.
"""

from collections.abc import Callable
from typing import TypeVar

from senn_ray.training import agreement
from senn_ray.training.reducer import PeerLostError
from senn_ray.training.run_state import RunState
from senn_ray.training.snapshots import State, restore, snapshot

T = TypeVar("T")

ROUND_STEPS = 50
"""Steps between snapshots in memory: at most so many are taken again."""


class Rounds:
    """Keep the state at the start of the present round, and go back to it."""

    def __init__(self, run: RunState, kept: State | None = None) -> None:
        """Begin.

        Args:
            run: A run before its first step.
            kept: A state to go on from, such as that of a checkpoint.
        """
        self._run = run
        self._kept = kept

    def before_step(self, run: RunState) -> None:
        """Keep the state, if a round starts; a replica that is alone needs none."""
        if run.reducer.size > 1 and run.step % ROUND_STEPS == 0:
            self._kept = snapshot(run)

    def carry_through(self, work: Callable[[], T]) -> T:
        """Do the work of the run, again and again until no replica is lost on the way.

        Args:
            work: Trains the run from the step where it is, to the end.

        Returns:
            What the work gave.
        """
        rolls_back = False
        while True:
            try:
                self._regroup(rolls_back=rolls_back)
                return work()
            except PeerLostError:
                rolls_back = True

    def _regroup(self, *, rolls_back: bool) -> None:
        """Join the gang, and go on from the newest state that any replica has."""
        run = self._run
        run.reducer.join()
        run.ledger.resize(run.reducer.size)
        if rolls_back and self._kept is not None:
            self._kept = _with_waste(self._kept, run)
        self._kept = agreement.newest(run, self._kept)
        if self._kept is not None:
            restore(run, self._kept)
            agreement.verify(run)


def _with_waste(kept: State, run: RunState) -> State:
    """Count the seconds since a state was kept as spent in vain."""
    before, now = kept["ledger"], run.ledger.state()
    lost = now["device_s"] - before["device_s"]
    wasted = {**before, "wasted_s": now["wasted_s"] + lost}
    return {**kept, "ledger": wasted}

"""Recovery: a gang that has lost a replica goes on from the start of the round.

The survivors roll back in memory, the replica that takes the empty seat adopts their
state by one broadcast, and the steps since then are taken again. Batches and decisions
follow from (seed, step), so the run ends bitwise as if nothing had happened. That all
replicas hold the same run is checked (``verify``) wherever it could have come apart.
"""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import torch

from senn_ray.core.errors import DisagreementError
from senn_ray.training.reducer import PeerLostError
from senn_ray.training.run_state import RunState
from senn_ray.training.snapshots import (
    State,
    digests,
    from_bytes,
    live_state,
    restore,
    snapshot,
    to_bytes,
)

T = TypeVar("T")

ROUND_STEPS = 50
"""Steps between snapshots in memory: at most so many are taken again."""
_WORDS = 4
"""Numbers of 64 bits in a SHA-256."""


class Rounds:
    """Keep the state at the start of the present round, and go back to it."""

    def __init__(self, run: RunState, kept: State | None = None) -> None:
        """Begin, with a state to go on from, such as that of a checkpoint."""
        self._run = run
        self._kept = kept

    def before_step(self, run: RunState) -> None:
        """Keep the state, if a round starts; a replica that is alone needs none."""
        if run.reducer.size > 1 and run.step % ROUND_STEPS == 0:
            self._kept = snapshot(run)

    def carry_through(self, work: Callable[[], T]) -> T:
        """Do the work of the run, again and again until no replica is lost on the way.

        The work trains the run from the step where it is, to the end.
        """
        rolls_back = False
        while True:
            try:
                self._regroup(rolls_back=rolls_back)
                return work()
            except PeerLostError:
                # Joining may fail in the same way, if another replica is lost meanwhile.
                rolls_back = True

    def _regroup(self, *, rolls_back: bool) -> None:
        """Join the gang, and go on from the newest state that any replica has."""
        run = self._run
        run.reducer.join()
        run.ledger.resize(run.reducer.size)
        # A survivor whose network is sound rolls back, too: its peers may have lost the
        # message that it has received, so it may be a step ahead of them.
        if rolls_back and self._kept is not None:
            # The ledger goes back with the state, but the seconds were spent.
            before, now = self._kept["ledger"], run.ledger.state()
            lost = now["device_s"] - before["device_s"]
            wasted = {**before, "wasted_s": now["wasted_s"] + lost}
            self._kept = {**self._kept, "ledger": wasted}
        # Replicas may have been lost while some had begun a round and others had not,
        # and a new one has nothing: all take the newest of any replica.
        self._kept = newest(run, self._kept)
        if self._kept is not None:
            restore(run, self._kept)
            verify(run)


def newest(run: RunState, kept: State | None) -> State | None:
    """Find the newest state that any replica has kept, and give it to all of them.

    Args:
        run: The run on this replica.
        kept: What this replica has kept, if anything.

    Returns:
        The state to go on from; nothing if no replica has kept any.
    """
    reducer = run.reducer
    steps = torch.zeros(reducer.size, dtype=torch.int64)
    steps[reducer.rank] = 0 if kept is None else kept["step"] + 1
    known = reducer.sum(steps).tolist()
    best = max(known)
    if best == 0:
        return None
    if min(known) == best:
        return kept
    root = known.index(best)
    data = to_bytes(kept) if kept is not None and reducer.rank == root else b""
    length = reducer.broadcast(torch.tensor([len(data)]), root)
    buffer = torch.zeros(int(length), dtype=torch.uint8)
    if data:
        buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return from_bytes(reducer.broadcast(buffer, root).numpy().tobytes())


def verify(run: RunState) -> None:
    """Compare the replicas of a gang bit for bit, by their hashes.

    Processors of two models may add in another order, and replicas that differ by one
    bit take other decisions sooner or later: their sums would have other shapes.

    Raises:
        DisagreementError: on all replicas alike, if any of them differs; it names the
            ranks and what they differ in.
    """
    reducer = run.reducer
    if reducer.size == 1:
        return
    parts = digests(live_state(run))
    own = torch.frombuffer(bytearray(b"".join(parts.values())), dtype=torch.int64)
    table = torch.zeros(reducer.size, len(own), dtype=torch.int64)
    table[reducer.rank] = own
    rows = reducer.sum(table).view(reducer.size, len(parts), _WORDS).tolist()
    found = [
        f"{name} of rank {', '.join(map(str, ranks))}"
        for n, name in enumerate(parts)
        if (ranks := odd_ones([tuple(row[n]) for row in rows]))
    ]
    if found:
        raise DisagreementError(
            f"replicas disagree before step {run.step}: {'; '.join(found)} differ "
            "from the others; the processors or libraries of the nodes may differ: "
            "use nodes of one kind, or --cluster.workers-per-run 1"
        )


def odd_ones(hashes: list[tuple[int, ...]]) -> list[int]:
    """Name the ranks whose hash is not the usual one; a tie goes to the first rank's."""
    usual, _ = Counter(hashes).most_common(1)[0]
    return [rank for rank, value in enumerate(hashes) if value != usual]

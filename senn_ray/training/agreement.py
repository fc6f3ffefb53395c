"""Agreement: all replicas of a gang hold the same run, or it stops with an error."""

from collections import Counter

import torch

from senn_ray.core.errors import DisagreementError
from senn_ray.training.run_state import RunState
from senn_ray.training.snapshots import State, digests, from_bytes, live_state, to_bytes

_WORDS = 4
"""Numbers of 64 bits in a SHA-256."""


def verify(run: RunState) -> None:
    """Compare the replicas of a gang bit for bit, by their hashes.

    Args:
        run: A member; it is not changed.

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
    """Name the ranks that differ from most; from the first one, if there is a tie.

    Args:
        hashes: One per rank.
    """
    usual, _ = Counter(hashes).most_common(1)[0]
    return [rank for rank, value in enumerate(hashes) if value != usual]


def newest(run: RunState, kept: State | None) -> State | None:
    """Find the newest state that any replica has kept, and give it to all of them.

    Args:
        run: A member of the gang.
        kept: What this replica has kept, if anything.

    Returns:
        The state to go on from; nothing if nobody has kept any.
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

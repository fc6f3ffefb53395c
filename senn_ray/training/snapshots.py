"""The state of a run between two steps: all that the rest of it depends on.

Batches, decisions and candidates follow from (seed, step), so there are no generators
to keep. One pair of functions serves every purpose: a replica rolls back in memory,
another one adopts the run, a checkpoint goes to disk, a gang compares its members.
"""

import hashlib
import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from senn_ray.maths.proposals import Whitening
from senn_ray.nets.make import describe, from_values, rebuild
from senn_ray.nets.network import Network
from senn_ray.training.run_state import RunState, trace_of

State = dict[str, Any]
"""Plain values and tensors on the host, which ``torch.load`` reads as weights only."""


def snapshot(run: RunState) -> State:
    """Copy the state of a run, before a step, to the host."""
    return _on_device(live_state(run), torch.device("cpu"))


def live_state(run: RunState) -> State:
    """Return the state of a run with its own tensors, which later steps change."""
    whitening, best = run.whitening, run.best
    return {
        "step": run.step,
        "net": pack(run.net),
        "best": None if best is None else pack(best),
        "optimizer": run.optimizer.state(),
        "front": [pack(net) for net in run.front],
        "weight_decay": run.weight_decay,
        "whitening": None if whitening is None else vars(whitening),
        "trace": run.trace.state(),
        "ledger": run.ledger.state(),
    }


def restore(run: RunState, state: State) -> None:
    """Go on from what ``snapshot`` gave as if nothing had happened since.

    The run, of the same specification, is changed in place; the state is not.
    """
    own = _on_device(state, run.train.shift.device)
    run.step = own["step"]
    run.net = unpack(own["net"])
    run.best = None if own["best"] is None else unpack(own["best"])
    run.optimizer.restore(own["optimizer"])
    run.front = [unpack(packed) for packed in own["front"]]
    run.weight_decay = own["weight_decay"]
    run.whitening = own["whitening"] and Whitening(**own["whitening"])
    run.trace = trace_of(own["trace"])
    run.ledger.restore(own["ledger"])


def pack(net: Network) -> State:
    """Describe a network by plain values and its own tensors."""
    architecture = describe(net)
    tensors = [tensor.detach() for tensor in net.tensors()]
    return {"architecture": architecture, "weights": tensors}


def unpack(packed: State) -> Network:
    """Make a network of what ``pack`` gave; its tensors are taken over, not copied."""
    return rebuild(from_values(packed["architecture"]), packed["weights"])


def to_bytes(state: State) -> bytes:
    """Write a state as a file that ``torch.load`` reads as weights only."""
    # Not straight to a path: torch would put its name into the file, and what it says of
    # a full disk is "unexpected pos 640 vs 534".
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def from_bytes(data: bytes) -> State:
    """Read what ``to_bytes`` wrote."""
    return torch.load(io.BytesIO(data), weights_only=True)


PARTS: dict[str, Callable[[State], Any]] = {
    "architecture": lambda state: state["net"]["architecture"],
    "parameters": lambda state: [
        state["net"]["weights"],
        *(state[name] for name in ("best", "front")),
    ],
    "optimiser state": lambda state: state["optimizer"],
    "decisions": lambda state: [
        state[name] for name in ("step", "weight_decay", "whitening")
    ] + [state["trace"][name] for name in ("expansions", "checks", "best", "descent")],
}  # fmt: skip
"""What the members of a gang must agree on. Seconds are each one's own."""


def digests(state: State) -> dict[str, bytes]:
    """Hash every part of a state that must be the same on all replicas, bit for bit.

    Returns:
        A SHA-256 for each of ``PARTS``.
    """
    found = {}
    for name, select in PARTS.items():
        digest = hashlib.sha256()
        _feed(digest, select(state))
        found[name] = digest.digest()
    return found


def _feed(digest: Any, value: Any) -> None:
    """Hash plain values and tensors, with their structure."""
    if isinstance(value, Tensor):
        host = value.detach().cpu().contiguous()
        digest.update(f"{host.dtype}{tuple(host.shape)}".encode())
        digest.update(host.numpy())
    elif isinstance(value, dict):
        for key, item in value.items():
            digest.update(f"{key}:".encode())
            _feed(digest, item)
    elif isinstance(value, list | tuple):
        digest.update(f"[{len(value)}]".encode())
        for item in value:
            _feed(digest, item)
    else:
        digest.update(repr(value).encode())


def _on_device(value: Any, device: torch.device) -> Any:
    """Copy nested lists and dictionaries with the tensors in them."""
    if isinstance(value, Tensor):
        return value.detach().to(device, copy=True)
    if isinstance(value, dict):
        return {key: _on_device(item, device) for key, item in value.items()}
    if isinstance(value, list):
        return [_on_device(item, device) for item in value]
    return value

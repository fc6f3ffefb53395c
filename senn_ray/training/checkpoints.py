"""Checkpoints: what a run leaves on disk, loadable with ``weights_only=True``.

The trained network is one file (``save_network``). Beside it lie the checkpoints of the run
while it is under way (``Checkpointer``), by step and by time. The two newest are kept:
if one is damaged, the run goes on from the one before it.
"""

import hashlib
import json
import pickle
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from senn_ray.core.files import write_bytes
from senn_ray.core.records import RunSpec, to_json
from senn_ray.data.standardisation import Inputs, from_dict, to_dict
from senn_ray.nets.network import Network
from senn_ray.training.run_state import RunState
from senn_ray.training.snapshots import State, digests, pack, snapshot, to_bytes, unpack

FORMAT = "senn-ray run under way, 4"
KEPT = 2
"""Number of checkpoints kept."""
_PATTERN = "state-*.pt"
_ALIVE_S = 5.0
"""Seconds between touches of the newest checkpoint, which tell how long a run lived."""


def save_network(net: Network, path: Path, inputs: Inputs | None = None) -> None:
    """Write the architecture and the weights of a trained network, atomically.

    Args:
        net: The network.
        path: The file; its folder is made if needed.
        inputs: What the network takes in, for those who have no data set at hand.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = pack(net)
    host = [tensor.cpu() for tensor in packed["weights"]]
    told = {} if inputs is None else {"inputs": to_dict(inputs)}
    write_bytes(path, to_bytes({**packed, "weights": host, **told}))


def load_network(path: Path) -> Network:
    """Read a network that ``save_network`` wrote, on the CPU."""
    return unpack(torch.load(path, weights_only=True))


def load_inputs(path: Path) -> Inputs | None:
    """Read what a saved network takes in; nothing, if the file does not tell."""
    return from_dict(torch.load(path, weights_only=True).get("inputs"))


@dataclass(frozen=True, kw_only=True)
class CheckpointPolicy:
    """How often the state of a run is written."""

    every_s: float = 60.0
    every_steps: int | None = None


class _RefusedError(Exception):
    """Say why a checkpoint is not gone on from."""


class Checkpointer:
    """Write the state of a run to a folder, on rank 0 only, and read it back."""

    def __init__(self, spec: RunSpec, policy: CheckpointPolicy) -> None:
        """Note what to do; nothing is written yet.

        Args:
            spec: The run; without the path of a final network nothing is written.
            policy: How often.
        """
        self.notes: list[str] = []
        """What was found wrong, or gone on from, one line each."""
        self._folder = Path(spec.checkpoint).parent if spec.checkpoint else None
        self._identity = identity(spec)
        self._policy = policy
        self._written_s = self._alive_s = time.monotonic()

    def load(self) -> State | None:
        """Return the newest state on disk that is sound, or nothing."""
        for path in reversed(self._files()):
            try:
                state = _read(path, self._identity)
            except _RefusedError as refused:
                self.notes.append(f"checkpoint {path.name} refused: {refused}")
            else:
                self.notes.append(f"went on from step {state['step']}, {path.name}")
                return state
        return None

    def before_step(self, run: RunState) -> None:
        """Write a checkpoint of the run before a step, if one is due."""
        if self._folder is None or run.reducer.rank != 0:
            return
        now, every = time.monotonic(), self._policy.every_steps
        by_step = every is not None and run.step % every == 0 and run.step > 0
        if by_step or now - self._written_s >= self._policy.every_s:
            self._write(run, self._folder)
            # Counted from the end of the writing, or a slow disk would be all there is.
            self._written_s = self._alive_s = time.monotonic()
        elif now - self._alive_s >= _ALIVE_S:
            # When the process dies, the seconds since the checkpoint are lost work; the
            # file's time tells how many there were.
            for path in self._files()[-1:]:
                path.touch()
            self._alive_s = now

    def clear(self) -> None:
        """Remove all checkpoints: the run is over."""
        for path in self._files():
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        """List the checkpoints, oldest first."""
        return sorted(self._folder.glob(_PATTERN)) if self._folder else []

    def _write(self, run: RunState, folder: Path) -> None:
        state = snapshot(run)
        contents = {
            "format": FORMAT,
            "identity": self._identity,
            "digests": _texts(state),
            "saved_utc_s": time.time(),
            "replicas": run.reducer.size,
            "state": state,
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / f"state-{run.step:09d}.pt", to_bytes(contents))
        for path in self._files()[:-KEPT]:
            path.unlink(missing_ok=True)


def identity(spec: RunSpec) -> str:
    """Hash what makes a run the one it is; where it runs and lies does not count."""
    values = to_json(spec)
    where = {"root", "memory_gb"}
    data = {key: v for key, v in values["data"].items() if key not in where}
    names = ("kind", "seed", "model", "train", "growth", "front", "shrink_to")
    chosen = [values[key] for key in names]
    text = json.dumps([data, *chosen], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path, own: str) -> State:
    """Read a state, and count the work after it as lost."""
    try:
        lived_s = path.stat().st_mtime
        contents = torch.load(path, weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.PickleError) as error:
        reason = str(error).strip().split("\n")[0]
        raise _RefusedError(f"it is damaged ({reason})") from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise _RefusedError("it is not a run under way of this version")
    if contents["identity"] != own:
        raise _RefusedError("it is of another run: settings or seed differ")
    state = contents["state"]
    if _texts(state) != contents["digests"]:
        raise _RefusedError("it is damaged (its contents do not match their hash)")
    lost = max(lived_s - contents["saved_utc_s"], 0.0) * contents["replicas"]
    ledger = state["ledger"]
    wasted = {**ledger, "wasted_s": ledger["wasted_s"] + lost}
    return {**state, "ledger": wasted}


def _texts(state: State) -> dict[str, str]:
    return {name: digest.hex() for name, digest in digests(state).items()}

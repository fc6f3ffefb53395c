"""Checkpoints of a run under way: kept by step and by time, and gone on from.

A checkpoint is one file beside the final network, written atomically, that
``torch.load`` reads as weights only. The two newest are kept: if one is damaged, the
run goes on from the one before it.
"""

import hashlib
import json
import pickle
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from senn_ray.core.files import replacing
from senn_ray.core.records import RunSpec, to_json
from senn_ray.training.run_state import RunState
from senn_ray.training.snapshots import State, digests, snapshot

FORMAT = "senn-ray run under way, 3"
KEPT = 2
_PATTERN = "state-*.pt"
_ALIVE_S = 5.0
"""Seconds between touches of the newest checkpoint, which tell how long a run lived."""


@dataclass(frozen=True, kw_only=True)
class CheckpointPolicy:
    """How often a run is kept on disk."""

    every_s: float = 60.0
    every_steps: int | None = None


class _RefusedError(Exception):
    """Say why a checkpoint is not gone on from."""


class Checkpointer:
    """Keep the state of a run in a folder; only rank 0 writes."""

    def __init__(self, spec: RunSpec, checkpoints: CheckpointPolicy) -> None:
        """Note what to do; nothing is written yet.

        Args:
            spec: The run; without the path of a final network nothing is kept.
            checkpoints: How often.
        """
        self.notes: list[str] = []
        """What was found wrong, or gone on from, one line each."""
        self._folder = Path(spec.checkpoint).parent if spec.checkpoint else None
        self._identity = identity(spec)
        self._policy = checkpoints
        self._kept_s = self._alive_s = time.monotonic()

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
        """Write a checkpoint, if one is due.

        Args:
            run: The run, before a step.
        """
        if self._folder is None or run.reducer.rank != 0:
            return
        now, every = time.monotonic(), self._policy.every_steps
        by_step = every is not None and run.step % every == 0 and run.step > 0
        if by_step or now - self._kept_s >= self._policy.every_s:
            self._keep(run, self._folder)
            self._kept_s = self._alive_s = time.monotonic()
        elif now - self._alive_s >= _ALIVE_S:
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

    def _keep(self, run: RunState, folder: Path) -> None:
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
        with replacing(folder / f"state-{run.step:09d}.pt") as partial:
            torch.save(contents, partial)
        for path in self._files()[:-KEPT]:
            path.unlink(missing_ok=True)


def identity(spec: RunSpec) -> str:
    """Hash what makes a run the one it is; where it runs and lies does not count.

    Args:
        spec: The run.
    """
    values = to_json(spec)
    where = {"root", "memory_gb"}
    data = {key: v for key, v in values["data"].items() if key not in where}
    chosen = [values[key] for key in ("kind", "seed", "model", "train", "growth")]
    text = json.dumps([data, *chosen], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path, own: str) -> State:
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

"""Where a job stands: the screens of ``status`` and ``watch``, and lines on what was asked."""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from senn_ray.analysis.results import ArmStatus, JobStatus
from senn_ray.cli.console import describe, table
from senn_ray.core.events import Event
from senn_ray.report.formatting import UNKNOWN, duration, number, widths

MOST_NAMED = 3
Look = tuple[JobStatus, list[Event]]


def overview(found: JobStatus) -> list[RenderableType]:
    """Show where a job stands: its arms, its best run, its target, what works on it."""
    parts: list[RenderableType] = [
        Text(
            f"{found.verb} {found.dataset} seed {found.seed}: "
            f"{found.state}, {duration(found.elapsed_s)}, on {found.where}",
            style="bold",
        ),
        _arms(found.arms),
    ]
    if best := found.best:
        parts.append(
            f"best {best.run_id} hidden {widths(best.hidden)} "
            f"val {number(best.val_loss)}"
        )
    if found.sizes:
        kept = ", ".join(f"{name} {n}" for name, n in found.sizes.items())
        parts.append(f"on their way down, with sizes kept so far: {kept}")
    if target := found.target:
        parts.append(
            f"target val {number(target.val_loss)}, at most "
            f"{target.max_params} parameters"
        )
    return [*parts, *_drivers(found)]


def follow(looks: Iterable[Look], console: Console, *, quiet: bool) -> JobStatus:
    """Show a job until it ends; return its last status.

    A terminal has a live overview below one line per event worth one; a pipe has the
    lines, and the overview at the end.
    """
    found: JobStatus | None = None
    screen = console.is_terminal and not quiet
    with Live(console=console, auto_refresh=False) if screen else nullcontext() as live:
        for found, news in looks:
            for line in () if quiet else filter(None, map(describe, news)):
                if live is None:
                    # No wrapping, so that other programs can read it.
                    print(line, file=console.file, flush=True)
                else:
                    console.print(line, markup=False, highlight=False)
            if live is not None:
                live.update(Group(*overview(found)), refresh=True)
    if found is None:
        raise ValueError("there is always a last look")
    for part in () if quiet or screen else overview(found):
        console.print(part, soft_wrap=isinstance(part, str))
    return found


def stopping(found: JobStatus, *, now: bool) -> str:
    """Say what became of a request to stop a job, with its runs in flight or after them."""
    writer = found.writer
    if not found.asked or writer is None:
        over = found.state in {"complete", "failed"}
        rest = "" if over else f"; senn-ray resume {found.run} goes on"
        return f"nobody works on this job ({found.state}): nothing to stop{rest}"
    flying = sum(arm.in_flight for arm in found.arms.values())
    what = (
        "ends now" if now else f"ends when the runs in flight ({flying}) are finished"
    )
    return (
        f"asked pid {writer.pid} on {writer.host}: the job {what}; "
        f"look with: senn-ray watch {found.run}"
    )


def repeated(found: Mapping[str, Any]) -> str:
    """Say in one line whether a rerun gave the same; of differences the first few."""
    how = f"within {found['tolerance']:g}" if found["tolerance"] else "bit for bit"
    result = (
        f"hidden {widths(found['hidden'])}, val {number(found['val_loss'])}, "
        f"{duration(found['wall_s'])}"
    )
    if found["same"]:
        return f"✓ {found['run_id']} is reproduced {how}: {result}"
    odd = found["differences"]
    named = ", ".join(f"{d['name']} {d['was']} → {d['now']}" for d in odd[:MOST_NAMED])
    more = f" and {len(odd) - MOST_NAMED} more" if odd[MOST_NAMED:] else ""
    changed = found["versions_changed"].items()
    versions = ", ".join(f"{name} {was} → {now}" for name, (was, now) in changed)
    why = f"; other versions: {versions}" if versions else ""
    return f"✗ {found['run_id']} is not reproduced {how}: {named}{more}{why}"


def _arms(arms: Mapping[str, ArmStatus]) -> Table:
    rows = table("arm", "done", "failed", "in flight", "best val", "hidden")
    for arm, row in arms.items():
        rows.add_row(
            arm,
            str(row.done),
            str(row.failed),
            str(row.in_flight),
            number(row.best_val_loss),
            widths(row.best_hidden) if row.best_hidden else UNKNOWN,
        )
    return rows


def _drivers(found: JobStatus) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if found.resumed:
        parts.append(
            f"resumed {found.resumed} times; {found.retries} runs started again"
        )
    if found.stopping:
        parts.append(f"told to stop ({found.stopping}): no run starts any more")
    if writer := found.writer:
        parts.append(
            f"written by pid {writer.pid} on {writer.host} "
            f"(heartbeat {writer.heartbeat_s:.0f} s ago)"
        )
    elif found.state in {"stopped", "interrupted", "budget"}:
        parts.append(Text(f"nobody works on it; type: senn-ray resume {found.run}"))
    return parts

"""The screen of ``status``: where a job stands."""

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from senn_ray.analysis.results import ArmStatus, JobStatus
from senn_ray.report.formatting import UNKNOWN, duration, number, widths

MOST_NAMED = 3


def overview(found: JobStatus) -> list[RenderableType]:
    """Show where a job stands.

    Args:
        found: What ``verbs.status`` gave.
    """
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
    if target := found.target:
        parts.append(
            f"target val {number(target.val_loss)}, at most "
            f"{target.max_params} parameters"
        )
    return [*parts, *_drivers(found)]


def stopping(found: JobStatus, *, now: bool) -> str:
    """Say what became of a request to stop a job.

    Args:
        found: What ``verbs.stop`` gave.
        now: Whether runs in flight are to be given up.
    """
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
    """Say in one line whether a rerun gave the same.

    Args:
        found: What ``verbs.rerun`` gave.
    """
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
    table = Table(box=None, pad_edge=False)
    for name in ("arm", "done", "failed", "in flight", "best val", "hidden"):
        table.add_column(name, no_wrap=name == "arm")
    for arm, row in arms.items():
        table.add_row(
            arm,
            str(row.done),
            str(row.failed),
            str(row.in_flight),
            number(row.best_val_loss),
            widths(row.best_hidden) if row.best_hidden else UNKNOWN,
        )
    return table


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

"""Plain sentences on how the runs of a comparison came about."""

from collections.abc import Mapping
from typing import Any

from senn_ray.search.job import Job
from senn_ray.search.ledger import TOTAL
from senn_ray.search.plan import SENN

Ledger = Mapping[str, Mapping[str, Any]]


def circumstances(job: Job, ledger: Ledger) -> list[str]:
    """Say what of the machines, or of failures, shows in the numbers.

    Args:
        job: The job.
        ledger: What ``ledger`` gave of it.
    """
    return [
        *_lost(job, ledger),
        *_diverged(job),
        *_retries(ledger[TOTAL]),
        *_shared(job),
        *_devices(job),
    ]


def _lost(job: Job, ledger: Ledger) -> list[str]:
    """Name the arms that lack runs which the infrastructure has lost."""
    return [
        f"{'no verdict on ' if arm in job.arms else ''}{arm}: {row['failed']} of its "
        f"{row['runs']:g} runs failed, which is not its doing; type senn-ray resume RUN "
        "--retry-failed"
        for arm, row in ledger.items()
        if arm not in {TOTAL, SENN} and row["failed"]
    ]


def _diverged(job: Job) -> list[str]:
    bad = [r for r in job.records if r.kind == "fixed" and r.state == "diverged"]
    return [f"{len(bad)} fixed runs diverged; they count"] if bad else []


def _retries(total: Mapping[str, Any]) -> list[str]:
    if not total["retries"] and not total["wasted_device_s"]:
        return []
    return [
        f"{total['retries']} runs were attempted again after failures of the "
        f"infrastructure, and {total['interruptions']} replicas were lost: "
        f"{total['wasted_device_s']:.3g} device seconds are wasted, not restarts"
    ]


def _shared(job: Job) -> list[str]:
    if not job.tried.shared:
        return []
    return [
        f"{len(job.tried.shared)} runs of fixed size that differ in their seed shared a "
        "worker, which makes them cheaper in device seconds and in latency; "
        "self-expanding runs never share one (cluster.batch_seeds)"
    ]


def _devices(job: Job) -> list[str]:
    if len(job.devices) <= 1:
        return []
    used = ", ".join(f"{count} runs {name}" for name, count in job.devices.items())
    return [
        f"runs used different devices ({used}): device seconds are not compared; the "
        "other currencies are fine"
    ]

"""Plain sentences on how the runs of a job came about: machines, failures, examples."""

from collections.abc import Mapping
from typing import Any

from senn_ray.analysis.job import Job
from senn_ray.analysis.ledger import TOTAL
from senn_ray.search.plan import SENN

FEW_EXAMPLES = 200
WIDE_GAP = 0.1
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
        *_devices(job),
        *_one_sample(job),
        *_whole_schedules(job),
    ]


def validation(job: Job) -> list[str]:
    """Say if validation losses rest on few examples, or on unlike ones.

    Args:
        job: The job.
    """
    said = []
    least = min((r.n_val for r in job.records if r.n_val), default=FEW_EXAMPLES)
    if least < FEW_EXAMPLES:
        said.append(
            f"validation losses are means over {least} examples only, so sizes and hits "
            "depend on which these are; raise data.val_per_class"
        )
    gap = max((r.val_share_gap or 0.0 for r in job.records), default=0.0)
    if gap > WIDE_GAP:
        said.append(
            "classes have other shares among validation examples than among training "
            f"ones (they differ by {gap:.0%}): losses are those of classes of equal size"
        )
    return said


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


def _devices(job: Job) -> list[str]:
    if len(job.devices) <= 1:
        return []
    used = ", ".join(f"{count} runs {name}" for name, count in job.devices.items())
    return [
        f"runs used different devices ({used}): device seconds are not compared; "
        "the other currencies are fine"
    ]


def _one_sample(job: Job) -> list[str]:
    """Say what the intervals are over."""
    known = [record.n_train for record in job.senn if record.n_train]
    if not known:
        return []
    return [
        f"all runs have the same {known[0]} training examples "
        f"(data.subset_seed {job.config.data.subset_seed}): intervals are over seeds, "
        "not over samples of the data"
    ]


def _whole_schedules(job: Job) -> list[str]:
    """Say that fixed runs do not end as soon as a patient user would end them."""
    whole = [r for r in job.records if r.stop_reason == "schedule"]
    if not whole:
        return []
    return [
        "runs of fixed size train their whole schedule and keep their best network, but "
        "do not end early: whoever stopped them at it would spend fewer steps and seconds"
    ]

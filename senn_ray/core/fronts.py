"""Choosing on the front of a run: best, one standard error, or by a budget."""

import dataclasses
from collections.abc import Sequence

from senn_ray.core.records import Rung, RunRecord


def best(front: Sequence[Rung]) -> int:
    """Return the place of the rung with the least validation loss; the smallest of ties."""
    return min(range(len(front)), key=lambda i: (front[i].val_loss, front[i].params))


def one_se(front: Sequence[Rung]) -> int:
    """Return the place of the smallest rung within one standard error of the best one.

    The rule of Breiman et al. (1984), with the standard error of the differences example
    by example: both networks see the same validation examples, so it is far smaller than
    that of either loss.
    """
    within = [i for i, rung in enumerate(front) if rung.gap <= rung.gap_se]
    return min([*within, best(front)], key=lambda i: (front[i].params, i))


def choose(front: Sequence[Rung], rule: str) -> int:
    """Return the place of the rung that a rule (``best`` or ``one_se``) chooses."""
    return {"best": best, "one_se": one_se}[rule](front)


def within_budget(
    front: Sequence[Rung],
    *,
    max_params: int | None = None,
    max_flops: int | None = None,
    loss_within: float | None = None,
) -> int | None:
    """Return the place of the rung that a budget chooses; nothing if none keeps to it.

    Args:
        front: The rungs.
        max_params: Most parameters; of those that keep to it, the best.
        max_flops: Most FLOPs of one example's forward pass; likewise.
        loss_within: Most validation loss above the best one's, in units of the loss; of
            those that keep to it, the smallest.
    """
    least = min(rung.val_loss for rung in front)
    kept = [
        i
        for i, rung in enumerate(front)
        if (max_params is None or rung.params <= max_params)
        and (max_flops is None or rung.flops <= max_flops)
        and (loss_within is None or rung.val_loss <= least + loss_within)
    ]
    if not kept:
        return None
    if loss_within is not None:
        return min(kept, key=lambda i: (front[i].params, front[i].val_loss))
    return min(kept, key=lambda i: (front[i].val_loss, front[i].params))


def at_rung(record: RunRecord, place: int) -> RunRecord:
    """Return the record of a run as if it had ended with, and found, one of its rungs.

    The training loss is known for the found size only.
    """
    rung = record.front[place]
    return dataclasses.replace(
        record,
        found=place,
        hidden=rung.hidden,
        params=rung.params,
        train_loss=record.train_loss if place == record.found else None,
        val_loss=rung.val_loss,
        val_accuracy=rung.val_accuracy,
        val_balanced_accuracy=rung.val_balanced_accuracy,
        test_loss=rung.test_loss,
        test_accuracy=rung.test_accuracy,
        test_balanced_accuracy=rung.test_balanced_accuracy,
        checksum=rung.checksum,
        cost=dataclasses.replace(
            record.cost,
            steps=rung.steps,
            sample_visits=rung.sample_visits,
            flops=rung.flops_spent,
            device_s=rung.device_s,
        ),
    )

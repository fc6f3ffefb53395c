"""Confirmation: winners are trained again with fresh seeds, and measured on test data.

A winner was chosen because its validation loss was low, so that very number flatters
it. For each searching arm two runs are confirmed: the one of the least validation loss,
and the one of the least validation loss among runs that are small enough for quality
at size (the top-1 rule, under each target's constraint). What wins twice is trained
once. Arms whose own runs are measured on test data (``opens_test``) have none: a plain
network of the same width would not be what a pruned one is. A plain network of the median self-found width is added as a control: it tells
"growing found the size" from "growing trains better". All of this comes after the last
decision of every arm, so no arm sees the self-found size.
"""

import statistics
from collections.abc import Iterable, Mapping

from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.core.seeds import derive
from senn_ray.search.arms import ARMS, find
from senn_ray.search.plan import CONFIRM, CONFIRM_FULL, SENN, Choice, Key, Plan, plain
from senn_ray.search.targets import TargetName, score

TRIALS = 1000
"""More than the trials of a study: numbers of winners must not collide."""


def choices(
    plan: Plan, finished: Mapping[Key, RunRecord], target: TargetLocked
) -> dict[Key, Choice]:
    """Return the confirmations of a job: what each trains again.

    Args:
        plan: The plan of the job.
        finished: All records of the job; those of confirmations do not count.
        target: The locked targets.
    """
    records = list(finished.values())
    places = {place_of(r): choice_of(r) for r in winners(records, target).values()}
    width = median_width(records)
    places[CONFIRM, width] = plain(width)
    found = dict[Key, Choice]()
    for (arm, number), choice in sorted(places.items(), key=lambda item: item[0]):
        for seed in range(plan.config.compare.retrain_seeds):
            key = Key(
                arm=arm,
                study=0 if arm == CONFIRM else number,
                trial=seed,
                per_class=plan.config.data.per_class,
                width=number if arm == CONFIRM else None,
            )
            found[key] = choice
    return found


def trained_again(
    records: Iterable[RunRecord], place: tuple[str, int]
) -> list[RunRecord]:
    """Return the complete confirmations of a winner, by what ``place_of`` gave."""
    return [
        record
        for record in records
        if (record.arm, record.width or record.study) == place
        and record.state == "complete"
    ]


def winners(
    records: Iterable[RunRecord], target: TargetLocked
) -> dict[tuple[str, TargetName], RunRecord]:
    """Choose the best run of each arm that searches a fixed size, for each target.

    Args:
        records: Runs of all arms.
        target: The locked targets; runs too large do not compete for quality at size.

    Returns:
        Runs by arm and target. An arm none of whose runs qualifies is left out.
    """
    best: dict[tuple[str, TargetName], RunRecord] = {}
    fixed = [
        r
        for r in records
        if r.kind == "fixed" and r.state == "complete" and _competes(r.arm)
    ]
    for record in sorted(fixed, key=lambda r: (score(r), r.params, r.run_id)):
        best.setdefault((record.arm, "quality"), record)
        if record.params <= target.max_params:
            best.setdefault((record.arm, "quality_at_size"), record)
    return best


def place_of(winner: RunRecord) -> tuple[str, int]:
    """Tell under which arm, and width or study, a winner is trained again.

    Plain widths are shared by all arms. A winner with settings of its own has
    confirmations of its own, which are numbered by its study and trial.
    """
    if find(winner.arm).width_only:
        return CONFIRM, winner.hidden[0]
    number = winner.study * TRIALS + winner.trial
    # One arm of the table has such winners; those of other packages must not collide.
    others = 0 if winner.arm in ARMS else derive(0, winner.arm) % TRIALS**2
    return CONFIRM_FULL, number + others * TRIALS**2


def choice_of(winner: RunRecord) -> Choice:
    """Return what a winner had chosen."""
    if find(winner.arm).width_only:
        return Choice(hidden=winner.hidden)
    return Choice(hidden=winner.hidden, lr=winner.lr, weight_decay=winner.weight_decay)


def median_width(records: Iterable[RunRecord]) -> int:
    """Return the (low) median width of the self-expanding runs that completed."""
    good = [r for r in records if r.arm == SENN and r.state == "complete"]
    return statistics.median_low(record.hidden[0] for record in good)


def _competes(arm: str) -> bool:
    # Runs that are measured themselves need none that are trained again for it.
    return find(arm).kind == "opponent" and not find(arm).opens_test

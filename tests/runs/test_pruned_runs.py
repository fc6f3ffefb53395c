"""A pruned run is the beginning of the run it would have been."""

import dataclasses

from senn_ray.core.records import RunSpec
from senn_ray.runs.run import train_run
from tests.training.problems import rings, spec

RAW = rings()


def fixed(*, cutoffs: tuple[float | None, ...] = ()) -> RunSpec:
    grown = spec()
    growth = grown.growth.model_copy(update={"enabled": False})
    return dataclasses.replace(grown, kind="fixed", growth=growth, cutoffs=cutoffs)


def test_a_run_ends_at_the_first_evaluation_whose_best_is_above_the_cutoff() -> None:
    whole = train_run(fixed(), RAW)
    losses = [moment.val_loss for moment in whole.evaluations]
    best = [min(losses[: n + 1]) for n in range(len(losses))]
    # Equal to the cutoff is good enough: the median trial itself goes on.
    cutoffs = (None, best[1], best[2] - 1e-6, 0.0)
    pruned = train_run(fixed(cutoffs=cutoffs), RAW)
    assert (pruned.state, pruned.stop_reason) == ("pruned", "pruned")
    assert [moment.val_loss for moment in pruned.evaluations] == losses[:3]
    assert pruned.val_loss == best[2]
    assert pruned.cost.steps == whole.evaluations[2].step


def test_cutoffs_that_are_never_exceeded_change_nothing() -> None:
    whole, again = (
        train_run(fixed(cutoffs=cutoffs), RAW) for cutoffs in ((), (None, 1e9))
    )
    assert again.checksum == whole.checksum
    assert again.state == "complete"

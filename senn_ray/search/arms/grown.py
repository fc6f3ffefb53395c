"""Arms whose runs grow: self-expansion, and its control with another score."""

from senn_ray.search.arms.arm import Arm, ArmState, RunRequest
from senn_ray.search.plan import GRADMAX as GRADMAX_NAME
from senn_ray.search.plan import SENN as SENN_NAME
from senn_ray.search.plan import senn_keys


def _every_run(state: ArmState) -> list[RunRequest]:
    return [
        RunRequest(trial=key.trial, per_class=key.per_class)
        for key in senn_keys(state.plan)
    ]


SENN = Arm(
    name=SENN_NAME,
    listed=True,
    rule="",  # The method itself: targets and scores say all of it.
    next_runs=_every_run,
    kind="growth",
    grows=True,
    opens_test=True,
    settings=frozenset(),
)
GRADMAX = Arm(
    name=GRADMAX_NAME,
    listed=True,
    rule="self-expanding runs of the same seeds whose candidates are found by the "
    "size of the gradient; one run is one search",
    next_runs=_every_run,
    paired=True,
    grows=True,
    growth={"score": "gradient"},
    opens_test=True,
    settings=frozenset(),
)

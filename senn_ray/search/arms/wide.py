"""Arms that prune a wide network: the way to a small one without growing."""

from senn_ray.search.arms.arm import Arm, ArmState, RunRequest
from senn_ray.search.plan import WIDE_MAGNITUDE as WIDE_MAGNITUDE_NAME
from senn_ray.search.plan import WIDE_PRUNE as WIDE_PRUNE_NAME
from senn_ray.search.plan import Choice, Plan, plain

SETTINGS = frozenset({"repeats", "wide"})


def _walked_down(state: ArmState) -> list[RunRequest]:
    """List the repeats; each is one complete search, and returns a whole front."""
    choice = Choice(hidden=(state.plan.wide,), walks=True)
    repeats = range(state.plan.config.baseline.repeats)
    return [RunRequest(trial=trial, choice=choice) for trial in repeats]


def _one_per_size(state: ArmState) -> list[RunRequest]:
    """List a run for each final width, smallest first; a repeat of all is one search."""
    return [
        RunRequest(study=repeat, trial=trial, choice=_shrunk(state.plan.wide, width))
        for repeat in range(state.plan.config.baseline.repeats)
        for trial, width in enumerate(final_widths(state.plan))
    ]


def final_widths(plan: Plan) -> list[int]:
    """Return the widths to prune to: the start width, doubled until the wide one."""
    found = [plan.lowest]
    while 2 * found[-1] < plan.wide:
        found.append(2 * found[-1])
    return [*found, plan.wide] if found[-1] < plan.wide else found


def _shrunk(wide: int, width: int) -> Choice:
    # At its own width nothing is pruned: that is a plain network.
    return Choice(hidden=(wide,), shrink_to=(width,)) if width < wide else plain(wide)


WIDE_PRUNE = Arm(
    name=WIDE_PRUNE_NAME,
    rule="a plain network of baseline.wide units, walked down the ladder of the "
    "self-expanding runs by the same removal cost: self-expansion without growing; one "
    "run is one search of all its rungs, and reaches a target at the first rung that does",
    next_runs=_walked_down,
    opens_test=True,
    width_only=False,
    settings=SETTINGS,
)
WIDE_MAGNITUDE = Arm(
    name=WIDE_MAGNITUDE_NAME,
    rule="for every doubled width, smallest first, a network of baseline.wide units whose "
    "neurons with the smallest weights are removed down to that width, in 12 stages "
    "between 0.3 and 0.6 of a plain run's steps, then annealed; all widths are one search",
    next_runs=_one_per_size,
    search="study",
    opens_test=True,
    width_only=False,
    settings=SETTINGS,
)

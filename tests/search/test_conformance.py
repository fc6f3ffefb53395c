"""Every arm keeps the laws, and the check finds arms that do not."""

import itertools
from dataclasses import replace

import pytest

from senn_ray.config import Config
from senn_ray.core.errors import ConfigError
from senn_ray.search.arms import ARMS, Arm, ArmState, RunRequest, find, selectable
from senn_ray.search.arms.conformance import check
from senn_ray.search.plan import Choice, Plan, plain
from senn_ray.search.run_requests import all_requests, chosen_arms
from senn_ray.search.specs import check_settings
from tests.search.fakes import make_config

SMALL = make_config(max_trials=6, until_hits=2, trials_per_study=4)


@pytest.mark.parametrize("name", selectable())
def test_every_arm_keeps_the_laws(name: str) -> None:
    check(ARMS[name], SMALL, most=100)


def one(state: ArmState) -> list[RunRequest]:
    return [RunRequest(choice=plain(state.plan.lowest))]


def as_many_as_have_finished(state: ArmState) -> list[RunRequest]:
    count = len(state.finished) + 1
    return [RunRequest(trial=n, choice=plain(4)) for n in range(count)]


def best_first(state: ArmState) -> list[RunRequest]:
    """Start three, and go on from the one that finished first."""
    first = next(iter(state.finished.values()), None)
    more = [] if first is None else [(3, first.hidden[0] + 1)]
    tried = [(0, 8), (1, 16), (2, 32), *more]
    return [RunRequest(trial=trial, choice=plain(width)) for trial, width in tried]


def forgetful(state: ArmState) -> list[RunRequest]:
    done = {trial for _, trial in state.finished}
    return [RunRequest(trial=n, choice=plain(4)) for n in range(3) if n not in done]


COUNT = itertools.count()
BROKEN = {
    "over 50 runs": as_many_as_have_finished,
    "the order of completions": best_first,
    "no longer asks": forgetful,
    "twice": lambda _: [RunRequest(choice=plain(4)), RunRequest(choice=plain(8))],
    "answers differently": lambda _: [RunRequest(trial=next(COUNT), choice=plain(4))],
    "has no choice": lambda _: [RunRequest()],
    "prunes to other layers": lambda _: [
        RunRequest(choice=Choice(hidden=(4,), shrink_to=(8,)))
    ],
    "prunes to other layers or more": lambda _: [
        RunRequest(choice=Choice(hidden=(4,), shrink_to=(2, 2)))
    ],
    "not between the start width": lambda _: [RunRequest(choice=plain(10**6))],
}


@pytest.mark.parametrize(("says", "rule"), BROKEN.items(), ids=BROKEN)
def test_an_arm_that_breaks_a_law_is_found(says: str, rule) -> None:
    with pytest.raises(AssertionError, match=says):
        check(Arm(name="mine", rule="", next_runs=rule), SMALL, most=50)


def test_what_an_arm_says_of_its_most_runs_is_checked() -> None:
    sound = Arm(name="mine", rule="", next_runs=one)
    check(sound, SMALL)
    with pytest.raises(AssertionError, match="beyond its at_most"):
        check(replace(sound, at_most=lambda _: []), SMALL)
    more = [(RunRequest(), True), (RunRequest(trial=1), True)]
    with pytest.raises(AssertionError, match="was certain"):
        check(replace(sound, at_most=lambda _: more), SMALL)


def test_an_arm_that_reads_other_settings_than_it_says_is_found() -> None:
    says = replace(ARMS["random"], settings=frozenset({"until_hits"}))
    with pytest.raises(AssertionError, match=r"reads \['max_trials'\], which its"):
        check(says, SMALL)


OWN = Arm(name="a name that the settings overrule", rule="one run", next_runs=one)
NAME = f"{__name__}:OWN"


def test_an_arm_of_another_package_takes_part_under_its_name_in_the_settings() -> None:
    config = make_config(arms=("random", NAME))
    check_settings("compare", config)
    plan = Plan(verb="compare", config=config)
    assert [arm.name for arm in chosen_arms(plan)] == ["random", NAME]
    asked = [key for key in all_requests(plan, {}, None) if key.arm == NAME]
    assert len(asked) == 1
    assert find(NAME).rule == "one run"


@pytest.mark.parametrize(
    ("arms", "says"),
    [
        ({"baseline": {"arms": ["foo"]}}, "there is no arm foo; the arms are gradmax"),
        ({"baseline": {"arms": ["confirm"]}}, "baseline.arms cannot have confirm"),
        ({"baseline": {"arms": ["nowhere:ARM"]}}, "nowhere:ARM cannot be imported"),
        ({"baseline": {"arms": ["math:pi"]}}, "math:pi is a float, not an Arm"),
        ({"scan": {"arms": ["random"]}}, "scan.arms cannot have random; give some of"),
    ],
)
def test_names_of_no_arm_are_refused(arms: dict[str, object], says: str) -> None:
    for verb in ("compare", "scan"):
        with pytest.raises(ConfigError, match=says):
            check_settings(verb, Config.model_validate(arms))

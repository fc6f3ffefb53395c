import dataclasses
import itertools
import math
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord
from senn_ray.search import confirm
from senn_ray.search.arms import ArmState, RunRequest
from senn_ray.search.arms.fixed import GRID, widths
from senn_ray.search.arms.ladders import (
    LADDER,
    LADDER_BISECT,
    NextWidth,
    bisected,
    doubled,
)
from senn_ray.search.arms.sampling import RANDOM, even_width, random_width
from senn_ray.search.plan import SENN, Choice, Key, Plan, plain
from senn_ray.search.specs import fixed_spec, grow_spec
from tests.search.fakes import fake_run, make_config

PLAN = Plan(verb="compare", config=make_config())
TARGET = TargetLocked(val_loss=0.12, max_params=2000)
Loss = Callable[[int], float]


def climb(loss: Loss, choose: NextWidth = bisected) -> dict[int, float]:
    losses = dict[int, float]()
    while (width := choose(PLAN, losses)) is not None:
        assert width not in losses, "a width is never tried twice"
        losses[width] = loss(width)
    return losses


def answer(losses: dict[int, float], epsilon: float = 0.02) -> int:
    bound = min(losses.values()) * (1 + epsilon)
    return min(width for width, loss in losses.items() if loss <= bound)


def test_the_ladder_finds_a_knee_to_the_resolution_of_the_target() -> None:
    for knee in (2, 3, 7, 20, 33, 50, 64):
        losses = climb(lambda width, knee=knee: max(1.0, (knee / width) ** 2))
        assert knee <= answer(losses) <= math.ceil(1.1 * knee)
        assert len(losses) <= math.log2(knee) + 7


def test_the_ladder_stops_at_the_cap() -> None:
    losses = climb(lambda width: 1 / width)
    assert max(losses) == PLAN.highest
    assert answer(losses) >= 0.9 * PLAN.highest


def test_the_ladder_survives_divergence() -> None:
    losses = climb(lambda _: math.inf)
    assert list(losses) == [2, 4]
    losses = climb(lambda width: math.inf if width > 8 else 1 / width)
    assert answer(losses) == 8


@given(st.lists(st.floats(0.01, 10), min_size=200, max_size=200))
def test_the_ladder_ends_whatever_the_losses(values: list[float]) -> None:
    losses = climb(lambda width: values[width])
    assert all(PLAN.lowest <= width <= PLAN.highest for width in losses)


def test_the_plain_ladder_ends_after_two_doublings_that_do_not_help() -> None:
    losses = climb(lambda width: max(1.0, 8 / width), doubled)
    assert list(losses) == [2, 4, 8, 16, 32]
    # One that does not help is forgiven.
    bumps = {2: 4.0, 4: 4.0, 8: 2.0, 16: 2.0, 32: 2.0}
    assert list(climb(lambda width: bumps.get(width, 1.0), doubled)) == list(bumps)


def test_the_plain_ladder_stops_at_the_cap_and_survives_divergence() -> None:
    assert list(climb(lambda width: 1 / width, doubled))[-1] == PLAN.highest
    assert list(climb(lambda _: math.inf, doubled)) == [2, 4, 8]


def test_a_repeated_run_that_changes_the_ladder_adds_runs_and_takes_none_away() -> None:
    """The run of width 4 failed, so the ladder went on to 8; then 4 was repeated."""
    records = {}
    for trial, (width, loss) in enumerate([(2, 1.0), (4, 0.5), (8, 0.49), (16, 0.48)]):
        spec = fixed_spec(PLAN, Key(arm="ladder", study=0, trial=trial), plain(width))
        records[0, trial] = dataclasses.replace(fake_run(spec), val_loss=loss)
    for arm in (LADDER, LADDER_BISECT):
        state = ArmState(plan=PLAN, finished=records)
        wants = [w for w in arm.next_runs(state) if w.study == 0]
        assert [w.trial for w in wants] == list(range(len(wants)))
        assert len(wants) <= len(records) + 1


def test_quasi_random_widths_fill_the_range_better_than_random_ones() -> None:
    def largest_gap(draw: Callable[[Plan, int], int], count: int) -> float:
        logs = sorted(math.log(draw(PLAN, trial)) for trial in range(count))
        ends = [math.log(PLAN.lowest), *logs, math.log(PLAN.highest)]
        return max(b - a for a, b in itertools.pairwise(ends))

    bound = 2.5 * math.log(64) / 16
    assert largest_gap(even_width, 16) < bound < largest_gap(random_width, 16)
    widths = [even_width(PLAN, trial) for trial in range(64)]
    assert all(PLAN.lowest <= width <= PLAN.highest for width in widths)


def test_the_grid_of_a_comparison_has_every_doubled_width_with_every_seed() -> None:
    wants = GRID.next_runs(ArmState(plan=PLAN, finished={}))
    tried = [want.choice.hidden[0] for want in wants if want.choice]
    assert sorted(set(tried)) == widths(PLAN)
    assert all(tried.count(width) == 3 for width in tried)


def test_growth_by_gradient_differs_from_the_run_of_its_seed_in_the_score_only() -> (
    None
):
    ours = grow_spec(PLAN, Key(arm=SENN, study=0, trial=3))
    other = grow_spec(PLAN, Key(arm="gradmax", study=0, trial=3))
    assert ours.growth.score == "natural"
    assert other.growth.score == "gradient"
    same = dataclasses.replace(
        other, run_id=ours.run_id, arm=ours.arm, growth=ours.growth
    )
    assert same == ours


def test_a_full_choice_sets_what_it_names_and_nothing_else() -> None:
    key = Key(arm="tpe_full", study=0, trial=0)
    choice = Choice(hidden=(7, 7), lr=0.02, weight_decay=0.3)
    full, usual = fixed_spec(PLAN, key, choice), fixed_spec(PLAN, key, plain(7))
    assert full.model.hidden == (7, 7)
    chosen = {"lr": 0.02, "weight_decay": 0.3, "optimizer": "adamw"}
    assert full.train == usual.train.model_copy(update=chosen)
    assert usual.train == PLAN.config.train


def test_random_widths_are_log_uniform_between_start_and_cap() -> None:
    drawn = [random_width(PLAN, trial) for trial in range(4000)]
    assert min(drawn) == PLAN.lowest
    assert max(drawn) <= PLAN.highest
    # 4 standard errors: 4 * sqrt(1 / 6 * 5 / 6 / 4000) = 0.024
    for low in (2, 4, 8, 16, 32, 64):
        share = sum(low <= width < 2 * low for width in drawn) / len(drawn)
        expected = math.log(2) / math.log(129 / 2)
        assert abs(share - expected) < 0.024


def finished(hits: list[bool]) -> dict[tuple[int, int], RunRecord]:
    records = {}
    for trial, hit in enumerate(hits):
        spec = fixed_spec(PLAN, Key(arm="random", study=0, trial=trial), plain(20))
        loss = 0.11 if hit else 0.13
        record = dataclasses.replace(fake_run(spec), val_loss=loss, params=1500)
        records[0, trial] = record
    return records


def asked(
    records: dict[tuple[int, int], RunRecord], target: TargetLocked | None
) -> list[RunRequest]:
    state = ArmState(plan=PLAN, finished=records, target=target)
    return RANDOM.next_runs(state)


@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_random_search_stops_at_the_hit_that_completes_the_number(
    hits: list[bool],
) -> None:
    wants = asked(finished(hits), TARGET)
    counted = [sum(hits[:n]) for n in range(13)]
    expected = counted.index(3) if 3 in counted else 12
    assert len(wants) == expected


@given(st.lists(st.booleans(), min_size=12, max_size=12), st.data())
def test_no_random_trial_is_started_that_might_not_be_needed(
    hits: list[bool], data: st.DataObject
) -> None:
    everything = finished(hits)
    final = {w.trial for w in asked(everything, TARGET)}
    known = data.draw(st.sets(st.sampled_from(range(12))))
    some = {key: record for key, record in everything.items() if key[1] in known}
    assert {w.trial for w in asked(some, TARGET)} <= final
    assert {w.trial for w in asked(some, None)} <= final


def test_winners_are_the_top_one_under_each_constraint() -> None:
    records = []
    for trial, (width, loss) in enumerate([
        (4, 0.3),
        (20, 0.12),
        (21, 0.11),
        (99, 0.1),
    ]):
        spec = fixed_spec(PLAN, Key(arm="random", study=0, trial=trial), plain(width))
        records.append(dataclasses.replace(fake_run(spec), val_loss=loss))
    best = confirm.winners(records, TARGET)
    assert best["random", "quality"].hidden == (99,)
    assert best["random", "quality_at_size"].hidden == (21,)

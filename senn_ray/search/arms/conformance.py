"""The laws of an arm, tried on imagined losses; nothing is trained.

``check(arm)`` is for the tests of an arm of your own: a few seconds, no torch, no Ray.
"""

import dataclasses
import itertools
import random
from dataclasses import replace
from typing import Any

from pydantic import PrivateAttr

from senn_ray.config import BaselineConfig, Config
from senn_ray.core.events import TargetLocked
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.core.seeds import derive
from senn_ray.search.arms import ARMS, Arm, ArmState, RunRequest
from senn_ray.search.executor import failed_record
from senn_ray.search.plan import SENN, Choice, Key, Plan, senn_keys
from senn_ray.search.run_requests import key_for, requests_of
from senn_ray.search.targets import lock

MOST_RUNS = 1000
ORDERS = 8
"""Orders of completion that are tried with each set of losses."""
LOSSES = ("smooth", "noisy", "equal", "diverging")


def check(arm: Arm, config: Config | None = None, *, most: int = MOST_RUNS) -> None:
    """Check that an arm keeps what the state machine relies on.

    It asks for the same runs in whatever order they finish, and however many go side by
    side; for none twice; for the same when it is asked again; what it has asked for
    stays asked for; and it ends, within its own ``at_most`` if it says one. Where it
    says which ``settings`` it reads, it reads no others.

    Args:
        arm: The arm.
        config: Settings of a comparison (default: those of ``compare``).
        most: Runs that no comparison with these settings should need.

    If it does not, it is an AssertionError of one line.
    """
    config = config or Config()
    # Nothing is validated: the validators would read, too.
    baseline = _Noting.model_construct(**config.baseline.model_dump())
    plan = Plan(verb="compare", config=config.model_copy(update={"baseline": baseline}))
    for losses in LOSSES:
        reference = _carry_out(arm, plan, losses, random.Random(0), 1, most)
        for order in range(1, ORDERS):
            capacity = (1, 2, 5, 1000)[order % 4]
            chance = random.Random(derive(0, losses, order))
            found = _carry_out(arm, plan, losses, chance, capacity, most)
            missing = reference.keys() ^ found.keys()
            _require(
                not missing,
                f"{arm.name}: the order of completions decides whether it asks for "
                f"{next(iter(missing), None)}",
            )
            _require(
                found == reference,
                f"{arm.name}: the order of completions decides what a run is",
            )
        _check_most(arm, plan, reference)
    if arm.settings is not None:
        secret = sorted(baseline.read - arm.settings - {"arms"})
        _require(not secret, f"{arm.name}: reads {secret}, which its settings lack")


class _Noting(BaselineConfig):
    """Settings that note which of them were read."""

    _read: set[str] = PrivateAttr(default_factory=set)

    def __getattribute__(self, name: str) -> Any:
        if name in BaselineConfig.model_fields:
            self._read.add(name)
        return super().__getattribute__(name)

    @property
    def read(self) -> set[str]:
        return self._read


def _carry_out(
    arm: Arm, plan: Plan, losses: str, chance: random.Random, capacity: int, most: int
) -> dict[Key, Choice | None]:
    """Finish imagined runs in an order by chance; return all that were asked for."""
    asked, flying = dict[Key, Choice | None](), list[Key]()
    finished, target = dict[Key, RunRecord](), None
    senn = dict.fromkeys(senn_keys(plan))
    while True:
        own = _asked(arm, plan, finished, target)
        lost = [key for key in asked if key.arm == arm.name and key not in own]
        _require(not lost, f"{arm.name}: no longer asks for {lost[:1]}")
        fresh = {k: c for k, c in (senn | own).items() if k not in asked}
        room = max(capacity - len(flying), 0)
        for key, choice in itertools.islice(fresh.items(), room):
            asked[key] = choice
            flying.append(key)
        _require(len(asked) <= most + len(senn), f"{arm.name}: over {most} runs")
        if not flying:
            return {key: asked[key] for key in asked if key.arm == arm.name}
        key = flying.pop(chance.randrange(len(flying)) if capacity > 1 else 0)
        finished[key] = _record(plan, key, asked[key], losses)
        grown = [record for record in finished.values() if record.arm == SENN]
        if target is None and len(grown) == len(senn):
            target = lock(grown, plan.config.compare.size_factor)


def _asked(
    arm: Arm, plan: Plan, finished: dict[Key, RunRecord], target: TargetLocked | None
) -> dict[Key, Choice | None]:
    """Ask an arm twice, and look at its answer."""
    answers = list[list[RunRequest]]()

    def noted(state: ArmState) -> list[RunRequest]:
        answers.extend([arm.next_runs(state), arm.next_runs(state)])
        return answers[0]

    requests = requests_of(replace(arm, next_runs=noted), plan, finished, target)
    first, second = answers
    _require(first == second, f"{arm.name}: asked twice, it answers differently")
    keys = [key_for(plan, arm, request) for request in first]
    twice = next((k for n, k in enumerate(keys) if k in keys[:n]), None)
    _require(twice is None, f"{arm.name}: asks for {twice} twice")
    for key, request in requests.items():
        if request.choice is None:
            _require(
                arm.grows or arm.proposer is not None,
                f"{arm.name}: {key} has no choice, and no proposer makes one",
            )
        else:
            low, high = plan.lowest, plan.highest
            _require(
                all(low <= width <= high for width in request.choice.hidden),
                f"{arm.name}: {request.choice} is not between the start width {low} "
                f"and the cap {high}",
            )
            _require(
                _shrinks(request.choice),
                f"{arm.name}: {request.choice} prunes to other layers or more units "
                "than it has",
            )
    return {key: request.choice for key, request in requests.items()}


def _shrinks(choice: Choice) -> bool:
    final, hidden = choice.shrink_to, choice.hidden
    fits = all(0 < last <= width for last, width in zip(final, hidden, strict=False))
    return not final or (len(final) == len(hidden) and fits)


def _record(plan: Plan, key: Key, choice: Choice | None, losses: str) -> RunRecord:
    """Imagine the outcome of a run: a function of its key and its choice alone."""
    config = plan.config
    chance = random.Random(derive(0, losses, *dataclasses.astuple(key)))
    width = chance.randint(plan.lowest, min(plan.highest, 64))
    hidden = choice.shrink_to or choice.hidden if choice else (width,)
    spec = RunSpec(
        run_id=str(key),
        arm=key.arm,
        kind="grow" if key.arm in ARMS and ARMS[key.arm].grows else "fixed",
        seed=0,
        data=config.data.model_copy(update={"per_class": key.per_class}),
        model=config.model.model_copy(update={"hidden": hidden}),
        train=config.train,
        growth=config.growth,
        study=key.study,
        trial=key.trial,
        width=key.width,
    )
    loss, noise = 1 + 8 / sum(hidden), 1 + chance.gauss(0, 0.1)
    loss = {"smooth": loss, "equal": 1.0}.get(losses, loss * noise)
    bad = losses == "diverging" and key.arm != SENN and chance.random() < 0.5
    return replace(
        failed_record(spec, ""),
        state="diverged" if bad else "complete",
        error=None,
        params=10 * sum(hidden),
        val_loss=None if bad else loss,
    )


def _check_most(arm: Arm, plan: Plan, asked: dict[Key, Choice | None]) -> None:
    if arm.at_most is None:
        return
    runs = [(key_for(plan, arm, r), certain) for r, certain in arm.at_most(plan)]
    known = {key for key, _ in runs}
    beyond = [key for key in asked if key not in known]
    _require(not beyond, f"{arm.name}: asks for {beyond[:1]}, beyond its at_most")
    never = [key for key, certain in runs if certain and key not in asked]
    _require(not never, f"{arm.name}: {never[:1]} was certain, and not asked for")


def _require(holds: bool, message: str) -> None:  # noqa: FBT001
    if not holds:
        raise AssertionError(message)

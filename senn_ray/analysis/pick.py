"""Which of the networks of a job is taken: the run, and the place on its front."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from senn_ray.core.errors import ConfigError, DataError
from senn_ray.core.fronts import best, one_se, within_budget
from senn_ray.core.records import RunRecord
from senn_ray.search.plan import SENN
from senn_ray.search.targets import score

MOST_NAMED = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeRule:
    """What a size is chosen by; if nothing is given, it is the one that the run found.

    Of networks that keep to ``max_params`` and ``max_flops`` it is the best; with
    ``loss_within``, the smallest that is no further above the best of the run.
    """

    best: bool = False
    one_se: bool = False
    max_params: int | None = None
    max_flops: int | None = None
    loss_within: float | None = None

    def __post_init__(self) -> None:
        """Refuse rules that contradict each other, and a loss that nothing is within."""
        given = self.given()
        if len(given) > 1 and (self.best or self.one_se):
            raise ConfigError(f"{' and '.join(given)} contradict each other; give one")
        loss = self.loss_within
        if loss is not None and not (math.isfinite(loss) and loss >= 0):
            raise ConfigError(
                f"--loss-within {loss:g}: it is the loss above that of the best network; "
                "give 0 or more"
            )

    def given(self) -> list[str]:
        """Return the flags that are set, as they are typed."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        flags = {f"--{name.replace('_', '-')}": value for name, value in values.items()}
        return [
            flag if value is True else f"{flag} {value}"
            for flag, value in flags.items()
            if value is not None and value is not False
        ]


def pick(
    records: Sequence[RunRecord],
    wanted: str | None,
    *,
    is_kept: Callable[[str], bool],
    flag: str = "--pick",
) -> RunRecord:
    """Choose the run whose network is exported.

    By default the growing run of (low) median validation loss: the one that the medians
    of the summary describe. In a scan, among the runs on the most examples. The least
    loss of many seeds would flatter itself.

    Args:
        records: The finished runs of a job.
        wanted: A run to take; or nothing, for the default.
        is_kept: Tells whether a network of a run is on the disk.
        flag: How the run was asked for.

    Raises:
        DataError: if no run has a network; a wanted run without one is a
            ``ConfigError``.
    """
    good = [r for r in records if math.isfinite(score(r)) and is_kept(r.run_id)]
    if not good:
        raise DataError(
            "no finished run of this job has kept its network; resume the job, or type "
            "senn-ray grow for a new one"
        )
    if wanted is not None:
        return _named(good, wanted, flag)
    grown = [record for record in good if record.arm == SENN] or good
    most = max(record.n_train for record in grown)
    candidates = [record for record in grown if record.n_train == most]
    middle = statistics.median_low(map(score, candidates))
    return min(
        (r for r in candidates if score(r) == middle),
        key=lambda r: (r.params, r.run_id),
    )


def pick_rung(record: RunRecord, rule: SizeRule) -> int:
    """Choose the place of a network on the front of a run.

    Raises:
        DataError: if the run has no front.
        ConfigError: if a budget lies outside of the front, or no network keeps to all.
    """
    front = record.front
    if not front:
        raise DataError(
            f"{record.run_id} has one network and no front of sizes: a senn-ray of before "
            "fronts trained it; senn-ray export RUN takes that network, senn-ray grow "
            "makes a new run"
        )
    if rule.best or rule.one_se:
        return best(front) if rule.best else one_se(front)
    if not rule.given():
        return one_se(front) if record.found is None else record.found
    for flag, asked, sizes, unit in (
        ("--max-params", rule.max_params, [r.params for r in front], "parameters"),
        ("--max-flops", rule.max_flops, [r.flops for r in front], "FLOPs an example"),
    ):
        if asked is not None and not min(sizes) <= asked <= max(sizes):
            raise ConfigError(
                f"{flag} {asked}: the networks of {record.run_id} have {min(sizes)} to "
                f"{max(sizes)} {unit}; give a number in that range"
            )
    place = within_budget(
        front,
        max_params=rule.max_params,
        max_flops=rule.max_flops,
        loss_within=rule.loss_within,
    )
    if place is None:
        raise ConfigError(
            f"no network of {record.run_id} keeps to {' and '.join(rule.given())}; "
            "allow more of one of them"
        )
    return place


def described(rule: SizeRule, default: str) -> str:
    """Say a rule in words; ``default`` is the name of the rule for the found size."""
    if not rule.given():
        return f"the found size, by {default}"
    limits = {
        "at most {} parameters": rule.max_params,
        "at most {} FLOPs an example": rule.max_flops,
        "a loss within {:g} of the best": rule.loss_within,
    }
    said = [text.format(value) for text, value in limits.items() if value is not None]
    return " and ".join(said) or ("best" if rule.best else "one_se")


def _named(records: Sequence[RunRecord], wanted: str, flag: str) -> RunRecord:
    for record in records:
        if record.run_id == wanted:
            return record
    names = [record.run_id for record in records]
    more = ", ..." if len(names) > MOST_NAMED else ""
    raise ConfigError(
        f"{flag} {wanted} is not a finished run whose network is kept; these are: "
        f"{', '.join(names[:MOST_NAMED])}{more}"
    )

"""What a job comes to, as types; ``summary.json`` is their serialisation, version 2.

Report, console and JSON read the same objects. A number that is not known is nothing
(null), and so is an infinite one: JSON has neither. Keys of version 1 that still mean
something keep their names; caveats became objects, sorted by their weight.

A *search* is what counts as one attempt at a target: one study of a tpe arm, one repeat
of a ladder, and one run of any other arm.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from senn_ray.analysis.front_results import FrontComparison
from senn_ray.analysis.intervals import Interval
from senn_ray.core.errors import DataError
from senn_ray.core.records import Expansion
from senn_ray.search.studies import Direction
from senn_ray.search.targets import Currency, TargetName

SCHEMA_VERSION = 2
Size = int | Literal["all"]
"""Training examples per class."""
Weight = Literal["decisive", "limiting", "note"]
WEIGHTS: tuple[Weight, ...] = ("decisive", "limiting", "note")


@dataclass(frozen=True, kw_only=True, slots=True)
class Caveat:
    """One sentence that a reader must keep in mind.

    ``decisive`` ones change what a result means (an opponent is cheaper, a target was
    never reached), ``limiting`` ones how far it holds (few examples, lost runs); a
    ``note`` tells how it was measured.
    """

    weight: Weight
    text: str


def decisive(text: str) -> Caveat:
    """Say what changes the meaning of a result."""
    return Caveat(weight="decisive", text=text)


def limiting(text: str) -> Caveat:
    """Say what limits how far a result holds."""
    return Caveat(weight="limiting", text=text)


def note(text: str) -> Caveat:
    """Say how a result was measured."""
    return Caveat(weight="note", text=text)


@dataclass(frozen=True, kw_only=True)
class Rate(Interval):
    """How many times the cost of self-expanding runs an arm needs for a hit."""

    chance_above_one: float | None
    """Fraction of the draws in which the arm is dearer."""


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """What an arm has used and wasted (see ``ledger.py``)."""

    runs: float
    steps: float
    sample_visits: float
    flops: float | None
    device_s: float
    growth_s: float
    wall_s: float
    complete: int
    pruned: int
    diverged: int
    failed: int
    retries: int
    interruptions: int
    wasted_device_s: float


@dataclass(frozen=True, kw_only=True)
class Promises:
    """How promised and realised drops of the loss agree (see ``summary.py``)."""

    runs: int
    checks: int
    kept: int
    spearman: float | None
    spearman_within: float | None


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What the plan of a job predicted of a cost, and what came of it."""

    predicted: float
    actual: float
    ratio: float | None
    """Nothing before a run has finished."""


@dataclass(frozen=True, kw_only=True)
class JobSummary:
    """What the summaries of all verbs have."""

    state: str
    exit_code: int
    dataset: str
    seed: int
    ledger: Mapping[str, LedgerRow]
    """By arm, and ``total``."""
    promises: Promises
    plan: Mapping[Currency, Predicted]
    """How far off the plan was: runs, steps and device seconds."""
    caveats: tuple[Caveat, ...]
    deviations: tuple[str, ...] = ()
    """What was extended since the protocol was frozen; the caveats say it too."""
    budget: str | None = None
    """Which budget ended the job."""


@dataclass(frozen=True, kw_only=True)
class RungRow:
    """A network on the front of a run; costs are those of the run until it ended."""

    params: int
    flops: int
    """Of one example's forward pass."""
    hidden: tuple[int, ...]
    val_loss: float
    val_accuracy: float | None
    gap: float
    """Validation loss above that of the best rung."""
    gap_se: float
    steps: int
    device_s: float
    checkpoint: str | None


@dataclass(frozen=True, kw_only=True)
class FoundRungs:
    """The places in the front that the two rules choose."""

    best: int | None = None
    one_se: int | None = None


@dataclass(frozen=True, kw_only=True)
class RunValues:
    """A self-expanding run; or of several the medians (low ones of counts)."""

    run_id: str | None
    per_class: Size | Literal["mixed"] | None
    workers: int | Literal["mixed"] | None
    hidden_start: tuple[int, ...] | Literal["mixed"] | None
    hidden: tuple[int, ...]
    params: int | None
    n_train: int | None
    train_loss: float | None
    val_loss: float | None
    val_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None
    steps: int | None
    sample_visits: int | None
    flops: float | None
    wall_s: float | None
    device_s: float | None
    growth_s: float | None
    growth_share: float | None
    checks: int | None
    stop_reason: str | None
    """``mixed`` unless all runs agree."""
    expansions: tuple[Expansion, ...]
    front: tuple[RungRow, ...] = ()
    """Its networks, largest first; none where several runs are described."""
    found: FoundRungs = FoundRungs()


@dataclass(frozen=True, kw_only=True)
class RunSummary(RunValues):
    """One self-expanding run of ``grow``."""

    dataset: str
    seed: int
    run_state: str
    error: str | None


@dataclass(frozen=True, kw_only=True)
class GrowSummary(RunValues, JobSummary):
    """``grow``: the values of the run, or the medians of several; and each run."""

    verb: Literal["grow"] = "grow"
    runs: tuple[RunSummary, ...]


@dataclass(frozen=True, kw_only=True)
class PickResult:
    """``pick``: the network that was chosen on the front of a run, and exported."""

    run: str
    """The run folder."""
    run_id: str
    seed: int
    rule: str
    """What chose it, in words."""
    place: int
    """Of the network in the front."""
    front: tuple[RungRow, ...]
    """The networks of the run, largest first."""
    found: FoundRungs
    test_loss: float | None
    """Of the exported files; of the run, if the data set is out of reach."""
    test_accuracy: float | None
    model: str | Path
    """Where the files are."""

    @property
    def rung(self) -> RungRow:
        """The network."""
        return self.front[self.place]

    def to_json(self) -> dict[str, Any]:
        """Return strict JSON values."""
        values = {**dataclasses.asdict(self), "rung": dataclasses.asdict(self.rung)}
        values["model"] = str(self.model)
        return json.loads(json.dumps(finite(values), allow_nan=False))


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a run must reach; nothing before the self-expanding runs are over."""

    val_loss: float | None
    max_params: int | None
    """Nothing where any size counts."""


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """How an arm did against one target."""

    runs: int
    searches: int
    hits: int
    """Searches that reached the target."""
    censored: int
    """Searches that did not."""
    best_val_loss: float | None
    """Of runs that are small enough."""
    best_hidden: tuple[int, ...] | None
    best_params: int | None
    cost: Mapping[Currency, float]
    """Spent in all."""
    adaptive: bool
    """Whether the runs of a search depend on each other."""
    hit_probability: Interval
    """Of one search."""
    median_runs: float | None
    """To a hit; nothing if that is beyond what was tried."""
    median_runs_low: float | None
    median_runs_high: float | None
    cost_to_hit: Mapping[Currency, Interval]
    """Expected."""


@dataclass(frozen=True, kw_only=True)
class BestOf:
    """What an arm is expected to have after so many runs (see ``curves.py``)."""

    runs: int
    val_loss: float | None
    median: float | None
    low: float | None
    high: float | None
    cost: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class SizeFound:
    """A network's size and what it reaches: means over seeds; of senn medians."""

    estimate: float
    """Hidden units, with ``low`` and ``high`` the range over self-expanding runs."""
    low: float | None
    high: float | None
    hidden: tuple[int, ...]
    params: int
    seeds: int
    val_loss: float | None
    test_loss: float | None
    test_accuracy: float | None


@dataclass(frozen=True, kw_only=True)
class SizeBlock:
    """The self-found size beside those of plain networks."""

    senn: SizeFound | None
    best_fixed: SizeFound | None
    plain_at_senn_size: SizeFound | None
    smallest_sufficient: SizeFound | None


@dataclass(frozen=True, kw_only=True)
class SizeRow:
    """The plain networks of one width, with a test of non-inferiority."""

    hidden: int
    params: int
    seeds: int
    val_mean: float | None
    val_low: float | None
    val_high: float | None
    noninferior: bool | None
    """Nothing where it was not tested."""


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """What the winner of an arm reaches when trained again (see ``sizes.py``)."""

    arm: str
    target: TargetName | None
    hidden: tuple[int, ...]
    params: int
    seeds: int
    val_loss: Interval | None
    test_loss: Interval | None
    test_accuracy: Interval | None


@dataclass(frozen=True, kw_only=True)
class TargetPoint:
    """What a hit of one target loss takes."""

    val_loss: float
    hits: int
    searches: int
    runs: Interval


@dataclass(frozen=True, kw_only=True)
class ReachedPoint(TargetPoint):
    """The best loss of an arm that never hit the headline target."""

    senn: Interval | None
    """Runs of self-expansion to the same loss."""


@dataclass(frozen=True, kw_only=True)
class TargetCurve:
    """Runs to a hit over all target losses (see ``hits.py``)."""

    headline: float
    losses: tuple[float, ...]
    arms: Mapping[str, tuple[TargetPoint, ...]]
    reached: Mapping[str, ReachedPoint]


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Runs of an arm against self-expanding runs of the same seeds (``sizes.py``)."""

    pairs: int
    excess: float
    """Mean validation loss minus that of self-expanding runs."""
    low: float | None
    high: float | None
    better: float
    better_low: float
    better_high: float
    test_excess: float | None
    params_ratio: float


@dataclass(frozen=True, kw_only=True)
class CellPairs(Pairs):
    """Pairs of a scan, at one size."""

    per_class: Size
    arm: str
    hidden: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Which arms need more, about as many, or fewer runs than growing does."""

    dearer: tuple[str, ...]
    unclear: tuple[str, ...]
    cheaper: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CompareSummary(JobSummary):
    """``compare``: both targets, all arms, all currencies, with intervals."""

    verb: Literal["compare"] = "compare"
    per_class: Size
    seeds: int
    """Self-expanding runs that have ended."""
    currencies: tuple[Currency, ...]
    verdict: str | None
    """Nothing if it is withheld."""
    standings: Mapping[TargetName, Standing]
    """What the verdict says, by target; arms that allow none are left out."""
    withheld: tuple[str, ...]
    """Why there is no verdict."""
    targets: Mapping[TargetName, Target]
    arms: Mapping[TargetName, Mapping[str, ArmRow]]
    """Self-expansion and the opponents."""
    exchange_rate: Mapping[TargetName, Mapping[str, Mapping[Currency, Rate]]]
    """Of ``device_s`` unknown if runs used unlike devices."""
    restarts_saved: Mapping[TargetName, Mapping[str, Interval]]
    size: SizeBlock
    sizes: tuple[SizeRow, ...]
    confirmed: Mapping[str, Mapping[TargetName, SizeFound | None]]
    """By arm and target, what its winner reaches when trained again."""
    curves: Mapping[str, tuple[BestOf, ...]]
    growth_share: float | None
    """Of the device seconds of self-expanding runs."""
    paired: Mapping[str, Pairs]
    cost: Mapping[str, Mapping[Currency, float]]
    retrained: tuple[Retrained, ...]
    over_targets: Mapping[TargetName, TargetCurve]
    fronts: FrontComparison | None = None
    """Front against front; nothing before a self-expanding run has ended."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One self-expanding run of a scan."""

    per_class: Size
    subset_seed: int
    seed: int
    run_id: str
    n_train: int
    examples_per_class: float | None
    hidden: tuple[int, ...]
    hidden_start: tuple[int, ...]
    hidden_total: int
    best_hidden_total: int | None = None
    """Of the network of least validation loss; ``hidden_total`` is that of the found one."""
    params: int
    val_loss: float | None
    test_accuracy: float | None
    run_state: str
    stop_reason: str
    converged: bool
    steps: int
    wall_s: float
    device_s: float
    error: str | None


@dataclass(frozen=True, kw_only=True)
class SizeCells:
    """The cells of one size; widths are those of converged cells."""

    per_class: Size
    examples_per_class: float | None
    n_train: int
    runs: int
    converged: int
    hidden: tuple[int, ...]
    """Of all cells."""
    hidden_median: float | None
    hidden_min: int | None
    hidden_max: int | None
    spread: float | None
    """Greatest over least width."""
    best_hidden_median: float | None = None
    """Of the networks of least validation loss."""
    val_loss: float | None
    test_accuracy: float | None


@dataclass(frozen=True, kw_only=True)
class Line:
    """A straight line through the cells of a scan."""

    slope: float | None
    low: float | None
    high: float | None
    straight_p: float | None
    """Of so bent a trend if the truth is a line (lack of fit)."""


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """width = ``at_one`` examples ^ ``exponent``."""

    aicc: float
    exponent: float
    at_one: float


@dataclass(frozen=True, kw_only=True)
class Saturating:
    """width = ``limit`` / (1 + ``half`` / examples)."""

    aicc: float
    limit: float
    half: float


@dataclass(frozen=True, kw_only=True)
class Forms:
    """Which form a trend has (see ``trend.py``)."""

    chosen: Literal["power_law", "saturating"]
    weight: float
    """Of the chosen one, by Akaike."""
    power_law: PowerLaw
    saturating: Saturating


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """The trend without one size, the least or the greatest."""

    without: float
    slope: float | None
    exponent: float | None


@dataclass(frozen=True, kw_only=True)
class Fit(Line):
    """Hidden units per tenfold of examples, over the converged cells that grew."""

    spearman: float | None
    cells: int
    excluded: int
    log_log: Line
    """Its slope is the exponent of a power law."""
    forms: Forms | None
    sensitivity: tuple[Sensitivity, ...]


@dataclass(frozen=True, kw_only=True)
class OracleWidth:
    """The plain networks of one width at one size of a scan."""

    hidden: int
    params: int
    seeds: int
    val_mean: float | None
    test_accuracy: float | None
    noninferior: bool | None


@dataclass(frozen=True, kw_only=True)
class OracleRow:
    """What plain networks need at one size (see ``sizes.py``)."""

    per_class: Size
    val_loss: float | None
    """The median of self-expanding runs."""
    smallest_sufficient_hidden: int | None
    best_fixed_hidden: int | None
    best_fixed_val_loss: float | None
    best_fixed_test_accuracy: float | None
    widths: tuple[OracleWidth, ...]


@dataclass(frozen=True, kw_only=True)
class ScanSummary(JobSummary):
    """``scan``: how the self-found width follows from the number of examples."""

    verb: Literal["scan"] = "scan"
    per_class: tuple[Size, ...]
    subset_seeds: int
    cells: tuple[Cell, ...]
    by_size: tuple[SizeCells, ...]
    fit: Fit
    oracle: tuple[OracleRow, ...]
    paired_by_size: tuple[CellPairs, ...]


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One study of ``match``; pruned and failed trials count as runs."""

    name: str
    trials: int
    complete: int
    pruned: int
    failed: int
    open: int
    best: float | None
    runs_to_target: int | None
    """The first trial, in order, that reached the target."""
    seconds: float


@dataclass(frozen=True, kw_only=True)
class MatchResult:
    """``match``: the runs that studies of any tuner need to reach a target."""

    storage: str
    target: float
    direction: Direction
    objective: int
    independent: bool
    studies: tuple[StudyRow, ...]
    trials: int
    searches: int
    hits: int
    hit_probability: Interval
    """Of one search."""
    runs_to_target: Interval
    """Expected, if searches are repeated until one hits."""
    seconds_to_target: Interval | None
    """The same; nothing unless all trials have times."""
    median_runs: Interval
    curve: tuple[BestOf, ...]
    """``low`` and ``high`` as numbers go, whatever the direction."""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return strict JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self), allow_nan=False))


@dataclass(frozen=True, kw_only=True)
class ArmStatus:
    """How far an arm has come."""

    done: int
    failed: int
    in_flight: int
    best_val_loss: float | None
    best_hidden: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class BestRun:
    """The run of least validation loss so far."""

    run_id: str
    arm: str
    val_loss: float | None
    hidden: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class WriterStatus:
    """Which process writes into a run folder."""

    pid: int
    host: str
    heartbeat_s: float
    """Since its last sign of life."""


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """Where a job stands, while it runs or afterwards."""

    run: str = ""
    """The run folder."""
    verb: str
    state: str
    """Running; stopped (told to, or no writer); interrupted; budget; complete; failed."""
    exit_code: int | None
    dataset: str
    per_class: Size
    seed: int
    where: str
    elapsed_s: float
    """Time that drivers have worked on it."""
    arms: Mapping[str, ArmStatus]
    best: BestRun | None
    target: Target | None
    stopping: str | None
    """Why no run starts any more: asked or budget."""
    resumed: int
    retries: int
    """Runs that had to start again because their driver ended."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Of runs in flight on their way down, the networks kept so far; not of far folders."""
    writer: WriterStatus | None = None
    asked: bool | None = None
    """Of ``stop``: whether there was a process to ask."""

    def to_json(self) -> dict[str, Any]:
        """Return strict JSON values."""
        return json.loads(json.dumps(finite(dataclasses.asdict(self))))


Summary = GrowSummary | CompareSummary | ScanSummary
_ADAPTER: TypeAdapter[Summary] = TypeAdapter(
    Annotated[Summary, Field(discriminator="verb")]
)


def to_json(summary: Summary) -> dict[str, Any]:
    """Return a summary as strict JSON values."""
    values = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(summary)}
    return json.loads(json.dumps(finite(values), allow_nan=False))


def from_json(text: str | bytes, *, source: str) -> Summary:
    """Read a summary that ``to_json`` gave.

    Args:
        text: The contents of ``summary.json``.
        source: The run folder it comes from, for the message.

    Raises:
        DataError: if it is damaged, or of another schema version.
    """
    again = f"type: senn-ray report {source}"
    try:
        values = json.loads(text)
        version = values.pop("schema_version", 1)
        if version != SCHEMA_VERSION:
            raise DataError(
                f"the summary of {source} has schema version {version}, not "
                f"{SCHEMA_VERSION}; to rebuild it from the journal {again}"
            )
        return _ADAPTER.validate_python(values)
    except (ValueError, TypeError, AttributeError, ValidationError) as error:
        raise DataError(
            f"the summary of {source} is damaged ({type(error).__name__}); {again}"
        ) from error


def finite(value: Any) -> Any:
    """Replace numbers that JSON cannot hold by nothing, at any depth."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **{k: finite(v) for k, v in named.items()})
    if isinstance(value, dict):
        return {key: finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(finite, value))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

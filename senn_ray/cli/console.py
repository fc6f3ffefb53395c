"""Progress on the console: one live bar per arm, one line per finished run; and tables.

Where output is not a terminal, only the lines are printed, without control codes.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from senn_ray.cli.rungs import Fronts
from senn_ray.core.events import (
    Event,
    JobResumed,
    JobStarted,
    RunFinished,
    RunProgressed,
    RunSubmitted,
    StopRequested,
    TargetLocked,
    TestOpened,
)
from senn_ray.core.records import FAULTY, RunRecord
from senn_ray.report.formatting import duration, number, widths

Observe = Callable[[Event], None]
WAIT_S = 60.0
BUSY = (
    "no sign of life from the runs in flight for {:g} s: they wait for free workers "
    "(look with: ray status), or data and workers are slow to start; Ctrl-C ends the job"
)


@contextlib.contextmanager
def watching(console: Console, *, quiet: bool) -> Iterator[Observe]:
    """Give an observer that shows events while a job runs."""
    if quiet:
        yield _ignore
    elif console.is_terminal:
        with _new_progress(console) as progress:
            yield LiveBars(progress)
    else:
        yield _Lines(console)


class Patience:
    """Say once that runs in flight give no sign of life: the cluster may be busy."""

    def __init__(
        self, observe: Observe, say: Callable[[str], None], *, wait_s: float = WAIT_S
    ) -> None:
        """Wait for the first run; ``say`` gets the line after so long without a sign."""
        self._observe = observe
        self._timer = threading.Timer(wait_s, say, args=(BUSY.format(wait_s),))
        self._timer.daemon = True
        self._waiting = False

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, RunSubmitted) and not self._waiting:
            self._waiting = True
            self._timer.start()
        elif isinstance(event, RunProgressed | RunFinished):
            self.end()
        self._observe(event)

    def end(self) -> None:
        """Wait no longer."""
        self._timer.cancel()


def _ignore(_event: Event) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True)
class _Lines:
    """Print one line per event worth one."""

    console: Console
    fronts: Fronts = field(default_factory=Fronts)

    def __call__(self, event: Event) -> None:
        line = self.fronts(event) or describe(event)
        if line is not None:
            # Plain print: no wrapping and no markup, so that other programs can read it.
            print(line, file=self.console.file, flush=True)


def describe(event: Event) -> str | None:
    """Say in one line what happened, or nothing if it is not worth a line."""
    match event:
        case JobStarted() | JobResumed():
            return _began(event)
        case RunFinished(record=record):
            return _finished(record)
        case TargetLocked() | TestOpened() | StopRequested():
            return _decided(event)
        case _:
            return None


def _began(event: JobStarted | JobResumed) -> str:
    if isinstance(event, JobStarted):
        return f"{event.verb} on {event.where}"
    lost = len(event.resubmitted)
    return f"resumed on {event.where}; {lost} runs that were in flight start again"


def _decided(event: TargetLocked | TestOpened | StopRequested) -> str:
    if isinstance(event, TargetLocked):
        return (
            f"target locked: val {number(event.val_loss)} (quality), and at most "
            f"{event.max_params} parameters (quality at size)"
        )
    if isinstance(event, TestOpened):
        return f"test data read, once, for {len(event.run_ids)} runs"
    return f"stopping ({event.detail or event.why}): runs in flight finish first"


def _finished(record: RunRecord) -> str:
    name = record.run_id  # What rerun takes, and tables and reports say.
    cost = f"{record.cost.steps} steps {duration(record.wall_s)}"
    if record.state in FAULTY:
        reason = f": {record.error}" if record.error else ""
        return f"✗ {name} {record.state} after {cost}, counted{reason}"
    accuracy = record.val_accuracy
    score = f" accuracy {accuracy:.1%}" if accuracy is not None else ""
    data = f" on {record.n_train} examples" if record.kind == "grow" else ""
    return (
        f"✓ {name} hidden {widths(record.hidden)}{data} "
        f"val {number(record.val_loss)}{score} "
        f"{cost} ({record.stop_reason})"
    )


class Screen(Progress):
    """Bars of arms, and below them the fronts of runs in flight."""

    fronts: Fronts

    def get_renderables(self) -> Iterable[RenderableType]:
        """Show the bars, then a line for each run on its way down."""
        yield from super().get_renderables()
        # Rich asks once before there is one.
        yield from self.fronts.shown() if hasattr(self, "fronts") else ()


def _new_progress(console: Console) -> Screen:
    return Screen(
        TextColumn("{task.description:<14}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[news]}", markup=False),
        console=console,
    )


def table(*columns: str) -> Table:
    """Make an empty table; the first column names its rows and is never broken."""
    empty = Table(box=None, pad_edge=False)
    for name in columns:
        empty.add_column(name, overflow="fold", no_wrap=name == columns[0])
    return empty


@dataclass(slots=True)
class _Arm:
    """What the bar of an arm shows."""

    bar: TaskID
    submitted: int = 0
    finished: int = 0
    failed: int = 0
    running: dict[str, float] = field(default_factory=dict)
    """Share of its steps that each run in flight has done."""
    best: RunRecord | None = None


@dataclass(slots=True)
class LiveBars:
    """Show one bar per arm, and a line above them for every finished run."""

    progress: Screen
    arms: dict[str, _Arm] = field(default_factory=dict)
    arm_of: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin without fronts."""
        self.progress.fronts = Fronts()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        self.progress.fronts(event)
        line = describe(event)
        if line is not None:
            self.progress.console.print(line, markup=False, highlight=False)
        match event:
            case RunSubmitted(spec=spec):
                arm = self._arm(spec.arm)
                self.arm_of[spec.run_id] = spec.arm
                arm.submitted += 1
                arm.running[spec.run_id] = 0.0
                self._draw(arm, None)
            case RunProgressed(progress=sign) if sign.run_id in self.arm_of:
                arm = self._arm(self.arm_of[sign.run_id])
                arm.running[sign.run_id] = min(sign.step / max(sign.max_steps, 1), 1.0)
                news = f"hidden {widths(sign.hidden)} val {number(sign.val_loss)}"
                down = f" {sign.rungs} sizes done" if sign.rungs > 1 else ""
                self._draw(arm, f"{news}{down} step {sign.step}")
            case RunFinished(record=record):
                arm = self._arm(record.arm)
                _count(arm, record)
                self._draw(arm, None)
            case _:
                pass

    def _arm(self, name: str) -> _Arm:
        if name not in self.arms:
            bar = self.progress.add_task(name, total=1, news="")
            self.arms[name] = _Arm(bar=bar)
        return self.arms[name]

    def _draw(self, arm: _Arm, news: str | None) -> None:
        done = arm.finished + sum(arm.running.values())
        best = arm.best
        if news is None and best is not None:
            news = f"best val {number(best.val_loss)} at {widths(best.hidden)}"
        failed = f", {arm.failed} failed" if arm.failed else ""
        self.progress.update(
            arm.bar,
            total=arm.submitted,
            completed=round(done, 2),
            news=(news or "") + failed,
        )


def _count(arm: _Arm, record: RunRecord) -> None:
    arm.running.pop(record.run_id, None)
    arm.finished += 1
    if record.state in FAULTY:
        arm.failed += 1
    elif record.val_loss is not None and (
        arm.best is None
        or arm.best.val_loss is None
        or record.val_loss < arm.best.val_loss
    ):
        arm.best = record

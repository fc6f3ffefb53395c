"""What every executor must do. Subclass ``ExecutorSuite`` and give ``make``.

``make`` receives one of the run functions below (module level, so that they may travel
to another process) and returns a context manager that gives an executor.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from senn_ray.config import DataConfig, GrowthConfig, ModelConfig, TrainConfig
from senn_ray.core.events import RunBegun, RunFinished, RunProgressed
from senn_ray.core.records import Cost, Progress, RunRecord, RunSpec, blank_record
from senn_ray.search.executor import Executor, RunFunction


def make_spec(run_id: str, *, width: int = 2, arm: str = "random") -> RunSpec:
    return RunSpec(
        run_id=run_id,
        arm=arm,
        kind="fixed",
        seed=width,
        data=DataConfig(),
        model=ModelConfig(hidden=(width,)),
        train=TrainConfig(),
        growth=GrowthConfig(enabled=False),
    )


def make_record(spec: RunSpec, *, error: str | None = None) -> RunRecord:
    return replace(
        blank_record(spec),
        state="complete",
        stop_reason="schedule",
        params=75 * spec.model.hidden[0] + 10,
        n_train=1000,
        train_loss=0.1,
        val_loss=1.0 / spec.model.hidden[0],
        val_accuracy=0.9,
        wall_s=1.0,
        cost=Cost(steps=10, sample_visits=100, flops=1e6, device_s=1.0),
        error=error,
    )


def run_well(spec: RunSpec, on_progress: Callable[[Progress], None]) -> RunRecord:
    """Report once, then finish."""
    on_progress(
        Progress(
            run_id=spec.run_id,
            step=1,
            max_steps=2,
            hidden=spec.model.hidden,
            train_loss=0.5,
            val_loss=0.5,
        )
    )
    return make_record(spec)


def run_odd(spec: RunSpec, on_progress: Callable[[Progress], None]) -> RunRecord:
    """Raise for odd widths."""
    if spec.model.hidden[0] % 2:
        raise ValueError(f"width {spec.model.hidden[0]} is odd")
    return run_well(spec, on_progress)


def run_large(spec: RunSpec, on_progress: Callable[[Progress], None]) -> RunRecord:
    """Return a record larger than any inline limit."""
    del on_progress
    return make_record(spec, error="x" * 300_000)


def drain(executor: Executor) -> dict[str, RunRecord]:
    """Wait until nothing is in flight; check that every run finishes once."""
    done: dict[str, RunRecord] = {}
    while reports := executor.wait():
        for report in reports:
            if isinstance(report, RunFinished):
                assert report.record.run_id not in done
                done[report.record.run_id] = report.record
    return done


class ExecutorSuite(ABC):
    """The laws; a subclass in ``test_*.py`` is collected by pytest."""

    @abstractmethod
    def make(self, run: RunFunction) -> AbstractContextManager[Executor]:
        """Make the executor that the laws are tried on."""

    def test_nothing_in_flight_returns_at_once(self) -> None:
        with self.make(run_well) as executor:
            assert executor.wait() == []

    def test_says_where_it_runs_and_how_much_fits(self) -> None:
        with self.make(run_well) as executor:
            assert executor.capacity >= 1
            assert executor.where

    def test_every_submitted_run_finishes_once_with_its_own_record(self) -> None:
        specs = [make_spec(f"run-{n}", width=n + 1) for n in range(5)]
        with self.make(run_well) as executor:
            for spec in specs:
                executor.submit(spec)
            done = drain(executor)
        assert done == {spec.run_id: make_record(spec) for spec in specs}

    def test_signs_of_life_arrive_before_the_end(self) -> None:
        with self.make(run_well) as executor:
            executor.submit(make_spec("run-0"))
            reports = executor.wait()
            while not isinstance(reports[-1], RunFinished):
                reports += executor.wait()
        assert reports[0] == RunBegun(run_id="run-0")
        assert isinstance(reports[1], RunProgressed)
        assert reports[1].progress.run_id == "run-0"

    def test_a_run_that_raises_fails_alone(self) -> None:
        with self.make(run_odd) as executor:
            for n in range(2, 6):
                executor.submit(make_spec(f"run-{n}", width=n))
            done = drain(executor)
        states = [done[f"run-{n}"].state for n in range(2, 6)]
        assert states == ["complete", "failed", "complete", "failed"]
        assert done["run-3"].stop_reason == "error"
        assert "width 3 is odd" in (done["run-3"].error or "")

    def test_large_records_arrive_whole(self) -> None:
        with self.make(run_large) as executor:
            executor.submit(make_spec("run-0"))
            done = drain(executor)
        assert len(done["run-0"].error or "") == 300_000

    def test_submitting_after_a_drain_works(self) -> None:
        with self.make(run_well) as executor:
            executor.submit(make_spec("run-0"))
            drain(executor)
            executor.submit(make_spec("run-1"))
            assert list(drain(executor)) == ["run-1"]

    def test_closing_twice_with_runs_in_flight_returns(self) -> None:
        with self.make(run_well) as executor:
            for n in range(3):
                executor.submit(make_spec(f"run-{n}"))
            executor.close()
            executor.close()

"""The laws of a front: the networks that one run leaves, from large to small."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from senn_ray.config import FrontConfig
from senn_ray.core.fronts import best
from senn_ray.core.records import RunRecord, RunSpec
from senn_ray.data.examples import RawData
from senn_ray.growth.magnitude import shrink_by_magnitude
from senn_ray.maths.losses import losses_by_example
from senn_ray.nets.network import Network, checksum
from senn_ray.runs import run as runs
from senn_ray.runs.front import with_gaps
from senn_ray.runs.loop import train
from senn_ray.runs.run import prepare, train_run
from senn_ray.training.checkpoints import CheckpointPolicy, load_network
from senn_ray.training.evaluate import evaluate
from senn_ray.training.reducer import Reducer, SingleReducer
from senn_ray.training.run_state import RunState
from tests.training.problems import rings, schedule_of, spec, waves
from tests.training.threads import run_threaded

RAW = rings()
IMAGES = replace(RAW, feature_shape=(1, 2, 4))
WIDE: dict[str, Any] = {
    "kind": "fixed",
    "growth__enabled": False,
    "train__min_steps": 64,
    "front": FrontConfig(rung_steps=6),
    "model__hidden": (12,),
}
CONV: dict[str, Any] = {
    "model__kind": "conv",
    "model__channels": (3,),
    "model__hidden": (5, 4),
    "model__max_depth": 2,
    "train__batch_size": 32,
}
RUNS: dict[str, tuple[RunSpec, RawData]] = {
    "growing": (spec(front=FrontConfig(), train__min_steps=100), RAW),
    "one layer": (spec(**WIDE), RAW),
    "two layers": (spec(**WIDE | {"model__hidden": (7, 6)}), RAW),
    "rational": (
        spec(**WIDE | {"model__hidden": (6, 6), "model__activation": "rational"}),
        RAW,
    ),
    "convolutional": (spec(**WIDE | CONV), IMAGES),
    "regression": (spec(**WIDE), waves()),
}


@pytest.fixture(scope="module", params=RUNS)
def walked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunRecord, RunState]:
    """The record of a run that was walked down, and the run before its first step."""
    settings, raw = RUNS[request.param]
    path = tmp_path_factory.mktemp("run") / "final.pt"
    kept = replace(settings, checkpoint=str(path), evaluate_test=True)
    run = prepare(kept, raw, reducer=SingleReducer(), device="cpu")
    return train_run(kept, raw), run


def test_sizes_fall_to_one_neuron_in_each_layer(
    walked: tuple[RunRecord, RunState],
) -> None:
    record, _ = walked
    assert record.state == "complete"
    assert len(record.front) > 3
    for larger, smaller in pairwise(record.front):
        assert smaller.params < larger.params
        assert smaller.steps > larger.steps
        assert smaller.device_s >= larger.device_s
    assert set(record.front[-1].hidden) <= {1}
    assert record.cost.steps == record.front[-1].steps


def test_the_record_is_of_the_found_rung(walked: tuple[RunRecord, RunState]) -> None:
    record, _ = walked
    assert record.found is not None
    found = record.front[record.found]
    assert (record.hidden, record.params) == (found.hidden, found.params)
    assert (record.val_loss, record.test_loss) == (found.val_loss, found.test_loss)
    assert record.checksum == found.checksum
    assert record.checkpoint is not None
    assert checksum(load_network(Path(record.checkpoint))) == found.checksum


def test_the_test_part_is_read_for_the_best_and_the_found_rung_alone(
    walked: tuple[RunRecord, RunState],
) -> None:
    record, _ = walked
    read = {n for n, rung in enumerate(record.front) if rung.test_loss is not None}
    assert read == {best(record.front), record.found}


def test_every_rung_is_on_disk_and_has_the_loss_it_says(
    walked: tuple[RunRecord, RunState],
) -> None:
    record, run = walked
    for rung in record.front:
        assert rung.checkpoint is not None
        assert "weights" in torch.load(rung.checkpoint, weights_only=True)
        net = load_network(Path(rung.checkpoint))
        assert checksum(net) == rung.checksum
        assert net.architecture().num_params() == rung.params
        quality = evaluate(run, net, run.val)
        assert (quality.loss, quality.accuracy) == (rung.val_loss, rung.val_accuracy)


def test_gaps_are_paired_example_by_example(
    walked: tuple[RunRecord, RunState],
) -> None:
    record, run = walked
    x, y = run.val.batch(torch.arange(len(run.val)))

    def losses(place: int) -> torch.Tensor:
        path = record.front[place].checkpoint
        assert path is not None
        with torch.no_grad():
            return losses_by_example(load_network(Path(path))(x), y, run.task).double()

    least = losses(best(record.front))
    for place, rung in enumerate(record.front):
        difference = losses(place) - least
        assert rung.gap == pytest.approx(difference.mean().item(), abs=1e-6)
        error = difference.std().item() / math.sqrt(len(difference))
        assert rung.gap_se == pytest.approx(error, rel=1e-4, abs=1e-6)
        assert rung.gap == pytest.approx(
            rung.val_loss - record.front[best(record.front)].val_loss, abs=1e-5
        )


def test_a_gang_measures_the_same_gaps() -> None:
    settings = RUNS["one layer"][0]

    def measured(reducer: Reducer) -> list[tuple[float, float]]:
        run = prepare(settings, RAW, reducer=reducer, device="cpu")
        train(run, schedule_of(run), None)
        return [(rung.gap, rung.gap_se) for rung in with_gaps(run)]

    alone = measured(SingleReducer())
    for gang in run_threaded(3, measured):
        for own, other in zip(gang, alone, strict=True):
            assert own == pytest.approx(other, rel=1e-2, abs=1e-4)


def test_sizes_of_people_are_the_most_a_rung_has_and_their_number_is_kept() -> None:
    sizes = (100, 60, 30)
    record = train_run(
        spec(**WIDE | {"front": FrontConfig(sizes=sizes, rung_steps=4)}), RAW
    )
    first, *others = record.front
    assert first.hidden == (12,)
    assert len(others) == len(sizes)
    for rung, size in zip(others, sizes, strict=True):
        # One neuron more would be too many.
        assert size - 12 < rung.params <= size
    few = train_run(spec(**WIDE | {"front": FrontConfig(rungs=2, rung_steps=4)}), RAW)
    assert len(few.front) == 2


def test_a_ladder_of_flops_is_one_of_flops() -> None:
    front = FrontConfig(cost="flops", sizes=(200, 100), rung_steps=4)
    record = train_run(spec(**WIDE | {"front": front}), RAW)
    assert [
        rung.flops <= size
        for rung, size in zip(record.front[1:], (200, 100), strict=True)
    ]
    assert all(rung.flops == 2 * rung.params for rung in record.front)


def test_sizes_above_all_that_there_is_leave_one_rung() -> None:
    record = train_run(
        spec(**WIDE | {"front": FrontConfig(sizes=(9000,), rung_steps=4)}), RAW
    )
    assert len(record.front) == 1
    assert record.found == 0


def test_more_rungs_than_the_schedule_has_steps_have_a_step_each() -> None:
    settings = spec(**WIDE | {"train__min_steps": 3, "front": FrontConfig()})
    record = train_run(settings, RAW)
    assert record.state == "complete"
    assert len(record.front) > 3
    assert {b.steps - a.steps for a, b in pairwise(record.front)} == {1}


def test_the_choice_is_a_setting() -> None:
    settings = spec(**WIDE)
    assert settings.front is not None
    chosen = replace(
        settings, front=settings.front.model_copy(update={"choose": "best"})
    )
    record, other = train_run(settings, RAW), train_run(chosen, RAW)
    assert other.found == best(other.front)
    assert [r.checksum for r in record.front] == [r.checksum for r in other.front]


def test_large_rungs_are_left_out_of_a_small_disk(tmp_path: Path) -> None:
    settings = spec(**WIDE, checkpoint=str(tmp_path / "final.pt"))
    assert settings.front is not None
    # The largest has 147 parameters of 4 bytes, and all together are a geometric series.
    small = settings.front.model_copy(update={"checkpoint_mb": 4 * 80 / 0.29 / 1e6})
    record = train_run(replace(settings, front=small), RAW)
    kept = [rung.params for rung in record.front if rung.checkpoint]
    assert kept == [rung.params for rung in record.front if rung.params <= 80]
    assert 0 < len(kept) < len(record.front)
    files = sorted((tmp_path / "rungs").iterdir())
    assert [str(path) for path in files] == [
        r.checkpoint for r in record.front if r.checkpoint
    ]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt()]
)
def test_what_was_written_stays_readable_when_a_rung_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """And the run goes on from its checkpoint, to the same front."""
    settings = spec(**WIDE, checkpoint=str(tmp_path / "final.pt"))
    written, save = list[Path](), runs.save_network

    def fails(net: Network, path: Path, *rest: Any) -> None:
        if len(written) == 3:
            raise error
        save(net, path, *rest)
        written.append(path)

    monkeypatch.setattr(runs, "save_network", fails)
    with pytest.raises(type(error)):
        train_run(settings, RAW, checkpoints=CheckpointPolicy(every_steps=5))
    assert sorted((tmp_path / "rungs").iterdir()) == written
    assert all(load_network(path).architecture() for path in written)
    monkeypatch.setattr(runs, "save_network", save)
    again = train_run(settings, RAW)
    assert again.interruptions[0].startswith("went on from step")
    whole = train_run(replace(settings, checkpoint=None), RAW)
    assert [r.checksum for r in again.front] == [r.checksum for r in whole.front]
    for rung in again.front:
        assert rung.checkpoint is not None
        assert checksum(load_network(Path(rung.checkpoint))) == rung.checksum


def test_a_run_repeats_its_front_bit_for_bit() -> None:
    settings, raw = RUNS["growing"]
    first, second = train_run(settings, raw), train_run(settings, raw)
    assert [r.checksum for r in first.front] == [r.checksum for r in second.front]
    assert [(r.gap, r.gap_se) for r in first.front] == [
        (r.gap, r.gap_se) for r in second.front
    ]


def test_pruning_by_magnitude_ends_at_its_widths_and_has_no_larger_result() -> None:
    plain = spec(
        kind="fixed",
        growth__enabled=False,
        train__min_steps=80,
        model__hidden=(12, 9),
        shrink_to=(5, 2),
    )
    record = train_run(plain, RAW)
    assert record.hidden == (5, 2)
    (only,) = record.front
    assert only.hidden == (5, 2)
    assert record.cost.steps == 80
    sizes = [event.hidden_after for event in record.expansions]
    assert len(sizes) == 7 + 7
    late = [e.val_loss for e in record.evaluations if e.hidden == (5, 2)]
    assert record.val_loss == min(late)


def test_magnitude_takes_the_smallest_weights_first() -> None:
    run = prepare(
        spec(**WIDE | {"front": None}, shrink_to=(5,)),
        RAW,
        reducer=SingleReducer(),
        device="cpu",
    )
    schedule, (W, V) = schedule_of(run), run.net.tensors()
    norms = W[:, :-1].square().sum(1) + V[:, :-1].square().sum(0)
    run.step = round(0.3 * 64)
    shrink_by_magnitude(run, schedule)
    assert run.hidden == (12,)
    run.step = round(0.6 * 64)
    shrink_by_magnitude(run, schedule)
    largest = norms.topk(5).indices.sort().values
    assert torch.equal(run.net.tensors()[0], W[largest])
    assert torch.equal(run.net.tensors()[1][:, :-1], V[:, largest])

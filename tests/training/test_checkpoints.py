"""A run whose process ended goes on from its newest sound checkpoint."""

import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from senn_ray.core.records import Progress, RunRecord, RunSpec
from senn_ray.nets.make import build, starting_architecture
from senn_ray.nets.network import Network
from senn_ray.runs.run import train_run
from senn_ray.training.checkpoints import CheckpointPolicy, identity, save_network
from senn_ray.training.reducer import Reducer
from tests.training.problems import rings, spec
from tests.training.test_recovery import timeless
from tests.training.threads import run_threaded

RAW = rings()
OFTEN = CheckpointPolicy(every_steps=20)


class EndedError(Exception):
    """Stands for the end of the process."""


def settings(folder: Path) -> RunSpec:
    short = spec(train__min_steps=120, train__evaluations=8)
    return replace(short, checkpoint=str(folder / "final.pt"))


def end_at(step: int) -> Callable[[Progress], None]:
    def on_progress(progress: Progress) -> None:
        if progress.step >= step:
            raise EndedError

    return on_progress


def interrupt(folder: Path, *, size: int = 1) -> None:
    """Train up to step 75: the newest checkpoint is of step 60."""

    def train(reducer: Reducer) -> None:
        run_spec = settings(folder)
        train_run(
            run_spec, RAW, reducer=reducer, on_progress=end_at(75), checkpoints=OFTEN
        )

    with pytest.raises(EndedError):
        run_threaded(size, train)


def go_on(folder: Path, *, size: int = 1) -> RunRecord:
    def train(reducer: Reducer) -> RunRecord:
        return train_run(settings(folder), RAW, reducer=reducer)

    return run_threaded(size, train)[0]


def network() -> Network:
    """Make a small network, always the same."""
    architecture = starting_architecture(spec().model, RAW.feature_shape, 2)
    return build(architecture, torch.Generator().manual_seed(0))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def same(record: RunRecord, other: RunRecord) -> bool:
    """Compare runs that may have had interruptions and lie in different folders."""
    plain = [
        replace(timeless(r), checkpoint=None, interruptions=()) for r in (record, other)
    ]
    return plain[0] == plain[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    folder = tmp_path_factory.mktemp("whole")
    record = train_run(settings(folder), RAW, checkpoints=OFTEN)
    assert names(folder) == ["final.pt"]
    assert record.interruptions == ()
    return record


def test_it_ends_as_if_nothing_had_happened(tmp_path: Path, whole: RunRecord) -> None:
    interrupt(tmp_path)
    assert names(tmp_path) == ["state-000000040.pt", "state-000000060.pt"]
    record = go_on(tmp_path)
    assert same(record, whole)
    assert record.interruptions == ("went on from step 60, state-000000060.pt",)
    assert names(tmp_path) == ["final.pt"]


@pytest.mark.parametrize("harm", ["truncated", "another bit", "empty", "foreign"])
def test_a_damaged_or_foreign_checkpoint_is_refused_for_the_one_before_it(
    harm: str, tmp_path: Path, whole: RunRecord
) -> None:
    interrupt(tmp_path)
    newest = tmp_path / "state-000000060.pt"
    data = newest.read_bytes()
    if harm == "truncated":
        newest.write_bytes(data[: len(data) // 2])
    elif harm == "another bit":
        contents = torch.load(newest, weights_only=True)
        contents["state"]["net"]["weights"][0][0, 0] += 1e-7
        torch.save(contents, newest)
    elif harm == "empty":
        newest.write_bytes(b"")
    else:
        torch.save({"weights": []}, newest)
    record = go_on(tmp_path)
    assert same(record, whole)
    refused, went_on = record.interruptions
    assert refused.startswith("checkpoint state-000000060.pt refused: it is ")
    assert "\n" not in refused
    assert went_on == "went on from step 40, state-000000040.pt"


def test_a_run_of_other_settings_starts_from_the_beginning(tmp_path: Path) -> None:
    interrupt(tmp_path)
    other = replace(settings(tmp_path), seed=1)
    record = train_run(other, RAW)
    assert same(record, train_run(replace(other, checkpoint=None), RAW))
    assert all("it is of another run" in line for line in record.interruptions)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (2, 4), (1, 2)])
def test_a_gang_of_another_size_goes_on(
    before: int, after: int, tmp_path: Path, whole: RunRecord
) -> None:
    interrupt(tmp_path, size=before)
    record = go_on(tmp_path, size=after)
    assert record.workers == after
    assert record.hidden == whole.hidden
    assert record.val_loss == pytest.approx(whole.val_loss, rel=1e-3)
    assert record.interruptions[-1].startswith("went on from step 60")


def test_time_alone_is_enough_to_keep_a_run(tmp_path: Path) -> None:
    with pytest.raises(EndedError):
        train_run(
            settings(tmp_path),
            RAW,
            on_progress=end_at(15),
            checkpoints=CheckpointPolicy(every_s=0.0),
        )
    assert names(tmp_path) == ["state-000000014.pt", "state-000000015.pt"]


def test_where_a_run_lies_is_no_part_of_what_it_is(tmp_path: Path) -> None:
    run_spec = settings(tmp_path)
    moved = replace(run_spec, checkpoint="elsewhere/final.pt", workers=4)
    assert identity(moved) == identity(run_spec)
    assert identity(replace(run_spec, seed=1)) != identity(run_spec)


def test_a_network_is_the_same_file_wherever_it_is_written(tmp_path: Path) -> None:
    net = network()
    for name in ("a.pt", "b/final.pt"):
        save_network(net, tmp_path / name)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b/final.pt").read_bytes()


def test_a_full_disk_is_told_as_one_and_leaves_the_old_network(tmp_path: Path) -> None:
    path = tmp_path / "final.pt"
    save_network(network(), path)
    old = path.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_network(network(), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == old
    assert names(tmp_path) == ["final.pt"]

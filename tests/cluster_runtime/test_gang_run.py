"""The driver's side of recovery, with a gang that only exists on paper."""

import errno
import random
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from senn_ray.cluster_runtime import gang_run
from senn_ray.cluster_runtime.gang import one_line
from senn_ray.cluster_runtime.gang_run import LATE_S, GangRun
from senn_ray.cluster_runtime.messages import Ready, Seat
from senn_ray.config import ClusterConfig
from senn_ray.core.errors import ResourceError
from senn_ray.core.records import Cost, Progress, RunRecord
from tests.search.executor_suite import make_record, make_spec

SPEC = make_spec("run-0")
READY = Ready(epoch=0)


@dataclass
class PaperGang:
    """Note what the driver asks for."""

    cluster: ClusterConfig
    seats: list[tuple[int, Seat]] = field(default_factory=list)
    dismissed: list[int] = field(default_factory=list)
    replaced: list[int] = field(default_factory=list)
    alarms: list[int] = field(default_factory=list)
    store: None = None
    answers: bool = True

    @property
    def slots(self) -> int:
        return self.cluster.workers_per_run + self.cluster.spares

    @property
    def is_alone(self) -> bool:
        return self.slots == 1

    def begin(self, slot: int, *_: Any) -> Any:
        return PaperStream(slot)

    def offer(self, slot: int, seat: Seat) -> None:
        self.seats.append((slot, seat))

    def dismiss(self, slot: int, _: str) -> None:
        self.dismissed.append(slot)

    def alarm(self, slot: int, *_: Any) -> None:
        self.alarms.append(slot)

    def ask(self, slot: int) -> int:
        return slot

    def has_answered(self, _: int) -> bool:
        return self.answers

    def replace(self, slot: int) -> None:
        self.replaced.append(slot)


class PaperStream:
    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.next: Any = None

    def __next__(self) -> Any:
        return self.next


class Story:
    """A run, and what happens to it in which second."""

    def __init__(self, **cluster: Any) -> None:
        self.now = 0.0
        self.gang = PaperGang(ClusterConfig(**{"workers_per_run": 2, **cluster}))
        gang: Any = self.gang
        self.run = GangRun(SPEC, gang, None, clock=lambda: self.now)

    def tell(self, slot: int, message: Any) -> Any:
        stream = next(s for s in self.run.live if s.slot == slot)
        stream.next = message
        return self.run.receive(stream)

    def all_ready(self) -> None:
        for slot in range(self.gang.slots):
            self.tell(slot, READY)

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.run.tick()

    def seats(self) -> list[tuple[int, int, int, int]]:
        """Slot, epoch, rank and size of every seat, and forget them."""
        told, self.gang.seats[:] = [*self.gang.seats], []
        return [(slot, s.epoch, s.rank, s.size) for slot, s in told]

    def error(self) -> str:
        record = self.run.outcome()
        assert record is not None
        assert record.state == "failed"
        return record.error or ""


@pytest.fixture(autouse=True)
def _messages_are_their_own_references(monkeypatch) -> None:
    def get(message: Any) -> Any:
        if isinstance(message, Exception):
            raise message
        return message

    monkeypatch.setattr(gang_run, "ray", SimpleNamespace(
        get=get, exceptions=gang_run.ray.exceptions
    ))  # fmt: skip


def lost(epoch: int) -> Ready:
    return Ready(epoch=epoch, lost="closed by peer")


def raised(cause: Exception) -> RayTaskError:
    return RayTaskError("run", "traceback", cause)


def test_replicas_are_seated_when_all_are_ready_and_spares_stand_by() -> None:
    story = Story(spares=1)
    story.tell(2, READY)
    assert story.seats() == []
    story.tell(0, READY)
    assert story.seats() == [(0, 1, 0, 2), (2, 1, 1, 2)]
    story.tell(1, READY)
    assert story.seats() == []


def test_the_run_ends_when_all_have_ended_and_the_gang_is_kept() -> None:
    story = Story(spares=1)
    story.all_ready()
    progress = Progress(
        run_id="run-0", step=1, max_steps=2, hidden=(2,), train_loss=1, val_loss=1
    )
    assert story.tell(0, progress) == progress
    story.tell(1, make_record(SPEC))
    assert story.run.outcome() is None
    story.tell(0, make_record(SPEC))
    assert story.run.outcome() == make_record(SPEC)
    assert story.run.is_sound
    assert story.gang.dismissed == [2]


def test_a_replica_that_does_not_end_costs_the_gang_not_the_run() -> None:
    story = Story()
    story.all_ready()
    story.tell(1, make_record(SPEC))
    story.after(LATE_S)
    assert story.run.outcome() == make_record(SPEC)
    assert not story.run.is_sound


def test_a_spare_takes_the_seat_of_the_dead_and_the_rest_keep_theirs() -> None:
    story = Story(spares=1)
    story.all_ready()
    story.seats()
    story.tell(0, ActorDiedError())
    assert story.gang.replaced == [0]
    assert story.gang.alarms == [1]
    assert story.seats() == []  # Rank 1 has not noticed yet.
    story.now += 0.25
    story.tell(1, lost(1))
    assert story.seats() == [(2, 2, 0, 2), (1, 2, 1, 2)]
    story.tell(0, READY)  # The new process stands by from now on.
    assert story.seats() == []
    for slot in (1, 2):
        story.tell(slot, make_record(SPEC))
    record = story.run.outcome()
    assert record is not None
    (line,) = record.interruptions
    assert line.startswith("rank 0: worker process died: ")
    assert line.endswith("; went on with 2 replicas after 0.25 s")


def test_without_a_spare_the_others_wait_for_a_new_process() -> None:
    story = Story()
    story.all_ready()
    story.seats()
    story.tell(0, lost(1))  # The echo comes first.
    story.tell(1, ActorDiedError())
    assert story.seats() == []
    story.tell(1, READY)
    assert story.seats() == [(0, 2, 0, 2), (1, 2, 1, 2)]


def test_a_silent_replica_counts_as_lost_when_the_others_have_told_so() -> None:
    story = Story(spares=1)
    story.all_ready()
    story.seats()
    story.tell(0, lost(1))
    assert story.run.due_s() == LATE_S
    story.after(LATE_S)
    assert story.gang.replaced == [1]
    assert story.seats() == [(0, 2, 0, 2), (2, 2, 1, 2)]


def test_survivors_of_a_death_may_finish_what_they_are_at() -> None:
    story = Story(silence_s=20)
    story.all_ready()
    story.tell(0, ActorDiedError())
    story.after(20)
    assert story.gang.replaced == [0]
    story.after(LATE_S)
    assert story.gang.replaced == [0, 1]


@pytest.mark.parametrize("shrink", [True, False])
def test_who_is_not_replaced_in_time_is_done_without_if_that_is_wanted(shrink) -> None:
    story = Story(replace_s=30, shrink=shrink, workers_per_run=3)
    story.all_ready()
    story.seats()
    story.tell(1, ActorDiedError())
    story.tell(0, lost(1))
    story.tell(2, lost(1))
    story.after(29)
    assert story.run.outcome() is None
    story.after(1)
    if shrink:
        assert story.seats() == [(0, 2, 0, 2), (2, 2, 1, 2)]
    else:
        why = "not replaced within 30 s: raise --cluster.replace-s"
        assert why in (story.run.abandoned or "")
        assert story.run.outcome() is None


@pytest.mark.parametrize("alone", [True, False])
def test_a_run_that_is_lost_too_often_fails_with_the_reason(alone: bool) -> None:
    story = Story(workers_per_run=1 if alone else 2, max_recoveries=2)
    for epoch in (1, 2, 3):
        assert story.run.outcome() is None
        if not alone:
            story.tell(0, lost(epoch - 1) if epoch > 1 else READY)
            story.tell(1, READY)
        elif epoch < 3:  # The last time it dies before it has begun.
            story.tell(0, READY)
        slot = 0 if alone else 1
        story.tell(slot, ActorDiedError())
    if not alone:
        story.tell(0, lost(3))
    assert "(lost 3 times, --cluster.max-recoveries 2)" in story.error()
    assert story.error().startswith("worker" if alone else "rank 1: worker")
    assert not story.run.is_sound


def test_replicas_that_cannot_reach_each_other_are_given_up_too() -> None:
    story = Story(max_recoveries=1)
    story.all_ready()
    for epoch in (1, 2):
        for slot in (0, 1):
            story.tell(slot, lost(epoch))
    assert "closed by peer (lost 2 times" in story.error()


def test_a_run_that_raises_fails_at_once_and_its_worker_is_kept() -> None:
    story = Story(workers_per_run=1)
    story.tell(0, READY)
    story.tell(0, raised(ValueError("ill")))
    assert story.error() == "ValueError: ill"
    assert story.run.is_sound


def test_the_peers_of_a_replica_that_raised_are_let_go() -> None:
    story = Story()
    story.all_ready()
    story.tell(1, raised(ValueError("ill")))
    assert story.run.outcome() is None
    story.tell(0, lost(1))
    assert story.error() == "rank 1: ValueError: ill"
    assert story.gang.dismissed == [0]
    assert story.run.is_sound


def test_a_lone_worker_that_died_begins_again() -> None:
    story = Story(workers_per_run=1)
    story.after(1000)  # Other jobs have all cores.
    story.tell(0, READY)
    story.after(7)
    story.tell(0, ActorDiedError())
    assert story.gang.replaced == [0]
    story.after(1000)
    story.tell(0, READY)
    story.after(3)
    used = Cost(device_s=2.5)
    story.tell(0, replace(make_record(SPEC), cost=used))
    record = story.run.outcome()
    assert isinstance(record, RunRecord)
    assert record.state == "complete"
    assert "went on with 1 replica after" in record.interruptions[0]
    assert record.cost == replace(used, wasted_device_s=7.5)


def test_whatever_happens_memberships_are_whole_and_count_up() -> None:
    chance, formed = random.Random(0), 0
    for _ in range(200):
        size, spares = chance.randint(1, 3), chance.randint(1, 2)
        story = Story(workers_per_run=size, spares=spares, max_recoveries=20)
        epoch = 0
        for _ in range(60):
            if not story.run.live:
                break
            slot = chance.choice([s.slot for s in story.run.live])
            message = chance.choice([READY, lost(epoch), lost(epoch), ActorDiedError()])
            story.tell(slot, message)
            story.after(chance.choice([0.0, 1.0, LATE_S]))
            seats = story.seats()
            if seats:
                epoch += 1
                formed += 1
                assert {e for _, e, _, _ in seats} == {epoch}
                assert [rank for _, _, rank, _ in seats] == list(range(size))
                assert len({slot for slot, _, _, _ in seats}) == size
    assert formed > 400


def test_a_lone_worker_that_does_not_answer_counts_as_lost() -> None:
    story = Story(workers_per_run=1, silence_s=20)
    story.tell(0, READY)
    for _ in range(5):  # Quiet, but alive.
        assert story.run.due_s() == 20
        story.after(20)
    story.gang.answers = False
    story.after(19)
    assert story.gang.replaced == []
    story.after(1)
    assert story.gang.replaced == [0]
    story.gang.answers = True
    story.tell(0, READY)
    story.tell(0, make_record(SPEC))
    record = story.run.outcome()
    assert record is not None
    assert record.interruptions[0].startswith("silent for 20 s; went on with 1")


def test_a_death_is_told_in_few_words() -> None:
    told = (
        "The actor died unexpectedly before finishing this task.\n\tclass_name: Replica"
        "\nThe actor is dead because its worker process has died. Worker exit type: "
        "SYSTEM_ERROR. Some common causes include: many"
    )
    error = ActorDiedError()
    error.error_msg = told
    line = one_line(error)
    assert line == "worker process died: Worker exit type: SYSTEM_ERROR."


@pytest.mark.parametrize("alone", [True, False])
def test_waiting_for_a_core_is_neither_silence_nor_device_time(alone: bool) -> None:
    story = Story(workers_per_run=1 if alone else 2, silence_s=20, replace_s=30)
    for _ in range(50):
        assert story.run.due_s() is None
        story.after(100)
    assert story.gang.replaced == []
    assert not story.run.has_begun
    assert story.run.pending_s == 5000
    assert story.run.held_device_s == 0
    story.all_ready()
    assert story.run.has_begun
    assert story.run.pending_s == 0
    story.now += 4
    assert story.run.held_device_s == (4 if alone else 8)
    story.tell(0, raised(ValueError("ill")))
    if not alone:
        story.tell(1, lost(1))
    record = story.run.outcome()
    assert record is not None
    assert record.wall_s == 4
    assert record.cost.device_s == 4 * record.workers


@pytest.mark.parametrize(
    "cause",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        ResourceError("node-7 has another senn-ray"),
    ],
)
def test_what_disks_and_networks_do_to_a_run_is_no_outcome_of_it(
    cause: Exception,
) -> None:
    story = Story(workers_per_run=1)
    story.tell(0, READY)
    story.tell(0, raised(cause))
    assert story.run.outcome() is None
    assert str(cause.args[-1]) in (story.run.abandoned or "")
    assert not story.run.is_sound


def test_nodes_that_die_under_a_run_again_and_again_are_no_outcome_of_it() -> None:
    story = Story(workers_per_run=1, max_recoveries=1)
    for _ in range(2):
        story.tell(0, READY)
        error = ActorDiedError()
        error.error_msg = "The actor died because its node has died. Node Id: 1"
        story.tell(0, error)
    assert story.run.outcome() is None
    assert "its node has died" in (story.run.abandoned or "")


def test_a_process_that_its_run_kills_again_and_again_is_one() -> None:
    story = Story(workers_per_run=1, max_recoveries=1)
    for _ in range(2):
        story.tell(0, READY)
        story.tell(0, ActorDiedError())
    assert story.run.abandoned is None
    assert "lost 2 times" in story.error()

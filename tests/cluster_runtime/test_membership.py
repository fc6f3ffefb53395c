"""The worker's side of recovery: seats, and messages that come too late."""

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from senn_ray.cluster_runtime.membership import (
    DismissedError,
    Membership,
    StaleSeatError,
)
from senn_ray.cluster_runtime.messages import Ready, Seat
from senn_ray.cluster_runtime.worker import Message, Worker
from senn_ray.config import ClusterConfig
from tests.search.executor_suite import make_record, make_spec

SPEC = make_spec("run-0")
NO_DATA: Any = None


def seat(epoch: int, *, run: str = "a", size: int = 1) -> Seat:
    return Seat(run=run, epoch=epoch, rank=0, size=size)


def member() -> tuple[Membership, list[Ready]]:
    told: list[Ready] = []
    joined = Membership("a", told.append, host="127.0.0.1", silence_s=1.0, on_gpu=False)
    return joined, told


def test_a_replica_tells_that_it_is_ready_and_takes_its_seat() -> None:
    membership, told = member()
    membership.offer(seat(3))
    membership.join()
    assert told == [Ready(epoch=0)]
    assert (membership.epoch, membership.rank, membership.size) == (3, 0, 1)


@pytest.mark.parametrize("late", [seat(3), seat(2), seat(4, run="b")])
def test_seats_of_an_old_epoch_or_of_another_run_are_refused(late: Seat) -> None:
    membership, _ = member()
    membership.offer(seat(3))
    membership.join()
    with pytest.raises(StaleSeatError, match=f"a seat of epoch {late.epoch} of"):
        membership.offer(late)


def test_an_alarm_that_comes_before_the_seat_is_not_forgotten() -> None:
    membership, _ = member()
    membership.offer(seat(3))
    membership.alarm("a", 3)
    membership.join()
    assert membership.is_lost()
    membership.offer(seat(4))
    membership.join()
    assert not membership.is_lost()
    membership.alarm("a", 3)
    membership.alarm("b", 4)
    assert not membership.is_lost()
    membership.alarm("a", 4)
    assert membership.is_lost()


def test_a_replica_that_is_dismissed_stops() -> None:
    membership, _ = member()
    membership.dismiss()
    with pytest.raises(DismissedError):
        membership.join()


GANG = ClusterConfig(workers_per_run=2)


class _Waits:
    """Stands for a run: joins, and gives a record."""

    def __call__(self, spec: Any, raw: Any, *, reducer: Any, on_progress: Any) -> Any:
        del raw, on_progress
        reducer.join()
        return make_record(spec, error=f"epoch {reducer.epoch}")


def _read(stream: Iterator[Message]) -> tuple[list[Message], threading.Thread]:
    seen: list[Message] = []
    thread = threading.Thread(target=lambda: seen.extend(stream))
    thread.start()
    return seen, thread


def _began(worker: Worker, number: int) -> tuple[list[Message], threading.Thread]:
    said: SimpleQueue[Message] = SimpleQueue()
    stream = worker.run(SPEC, NO_DATA, number=number, gang=f"gang-{number}")

    def heard() -> Iterator[Message]:
        for message in stream:
            said.put(message)
            yield message

    seen, thread = _read(heard())
    assert said.get(timeout=30) == Ready(epoch=0)
    return seen, thread


def test_a_later_run_lets_an_earlier_one_go_whatever_the_order_of_calls(
    monkeypatch,
) -> None:
    monkeypatch.setattr("ray.util.get_node_ip_address", lambda: "127.0.0.1")
    worker = Worker(_Waits(), GANG)
    first, first_thread = _began(worker, 1)
    second, second_thread = _began(worker, 3)
    first_thread.join(30)
    assert first == [Ready(epoch=0)]
    # Actors with several threads may take this up now: it was called before.
    assert list(worker.run(SPEC, NO_DATA, number=2, gang="gang-2")) == []
    worker.dismiss("gang-1")
    worker.offer(seat(1, run="gang-3"))
    second_thread.join(30)
    assert second[1:] == [make_record(SPEC, error="epoch 1")]

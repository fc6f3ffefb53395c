from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from senn_ray.cluster_runtime import gang as gang_module
from senn_ray.cluster_runtime.gang import Flight
from senn_ray.cluster_runtime.group import PeerLostError
from tests.search.executor_suite import make_record, make_spec

SPEC = make_spec("run-0")
Message = Any


@pytest.fixture(autouse=True)
def _messages_are_their_own_references(monkeypatch) -> None:
    def get(message: Message) -> Message:
        if isinstance(message, Exception):
            raise message
        return message

    monkeypatch.setattr(gang_module.ray, "get", get)


def _flight(*messages: Message) -> Flight:
    gang: Any = SimpleNamespace(size=len(messages))
    streams: list[Iterator[Message]] = [iter([message]) for message in messages]
    return Flight(spec=SPEC, gang=gang, streams=streams)


def _task_error(cause: Exception) -> RayTaskError:
    return RayTaskError("run", "traceback", cause)


LOST = _task_error(PeerLostError("rank 0 of 2 lost a replica: closed by peer"))


def _receive_all(flight: Flight) -> None:
    for stream in flight.live:
        flight.receive(stream)


def test_the_record_of_rank_0_counts_when_all_agree() -> None:
    records = [replace(make_record(SPEC, error=str(n)), checksum="a") for n in (0, 1)]
    flight = _flight(*records)
    flight.receive(flight.live[0])
    assert flight.outcome() is None
    _receive_all(flight)
    assert flight.outcome() == records[0]
    assert flight.is_sound


def test_replicas_that_disagree_fail_the_run_and_are_named() -> None:
    checksums = ("a", "b", "a", "c")
    flight = _flight(*[replace(make_record(SPEC), checksum=c) for c in checksums])
    _receive_all(flight)
    record = flight.outcome()
    assert record is not None
    assert record.state == "failed"
    assert "the network of rank 1, 3 differs" in (record.error or "")
    assert not flight.is_sound


def test_the_reason_of_a_failure_outranks_its_echo() -> None:
    flight = _flight(LOST, _task_error(ValueError("rank 1 is ill")))
    flight.receive(flight.live[0])
    assert flight.outcome() is None
    _receive_all(flight)
    record = flight.outcome()
    assert record is not None
    assert record.error == "rank 1: ValueError: rank 1 is ill"
    assert not flight.is_sound


def test_without_a_reason_the_echo_is_told_when_patience_ends() -> None:
    flight = _flight(LOST, make_record(SPEC))
    flight.receive(flight.live[0])
    record = flight.outcome(patient=False)
    assert record is not None
    assert "rank 0 of 2 lost a replica" in (record.error or "")


@pytest.mark.parametrize(
    ("error", "sound"),
    [(_task_error(ValueError("ill")), True), (ActorDiedError(), False)],
    ids=["raised", "died"],
)
def test_a_lone_worker_is_kept_unless_its_process_died(error, sound) -> None:
    flight = _flight(error)
    _receive_all(flight)
    record = flight.outcome()
    assert record is not None
    assert record.state == "failed"
    assert flight.is_sound is sound

import socket

import pytest

from senn_ray.cluster_runtime.pulse import Address, Pulse, head_patience_s
from senn_ray.core.errors import ClusterLostError


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _listener(port: int = 0) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def _pulse(agent: socket.socket, head: socket.socket, clock: Clock) -> Pulse:
    return _pulse_at(agent.getsockname(), head.getsockname(), clock)


def _pulse_at(agent: Address, head: Address, clock: Clock) -> Pulse:
    return Pulse(
        "the Ray cluster at head:6379",
        agent=agent,
        head=head,
        patience_s=30.0,
        clock=clock,
    )


def test_an_agent_that_is_gone_is_told_at_once_on_one_line() -> None:
    with _listener() as head:
        with _listener() as agent:
            pulse = _pulse(agent, head, Clock())
            port = agent.getsockname()[1]
            pulse.check()
        with pytest.raises(ClusterLostError) as caught:
            pulse.check()
    assert str(caught.value) == (
        "the Ray cluster at head:6379 went away: the agent (raylet) of this machine no "
        f"longer answers at 127.0.0.1:{port}"
    )
    assert caught.value.exit_code == 3
    assert pulse.is_lost


def test_a_head_may_be_away_for_as_long_as_ray_can_do_without_it() -> None:
    clock = Clock()
    with _listener() as agent:
        with _listener() as head:
            pulse = _pulse(agent, head, clock)
            port = head.getsockname()[1]
        clock.now_s = 29.0
        pulse.check()
        with _listener(port):
            clock.now_s = 30.0
            pulse.check()
        clock.now_s = 59.0
        pulse.check()
        assert not pulse.is_lost
        clock.now_s = 60.0
        with pytest.raises(
            ClusterLostError, match=rf"head \(GCS\) .* 127.0.0.1:{port}"
        ):
            pulse.check()


def test_who_could_not_be_reached_at_first_is_not_missed() -> None:
    clock = Clock()
    with _listener() as agent, _listener() as head:
        places = agent.getsockname(), head.getsockname()
    pulse = _pulse_at(*places, clock)
    clock.now_s = 1000.0
    pulse.check()
    assert not pulse.is_lost


def test_we_give_up_before_ray_does(monkeypatch) -> None:
    monkeypatch.delenv("RAY_gcs_rpc_server_reconnect_timeout_s", raising=False)
    assert head_patience_s() == 30.0
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "300")
    assert head_patience_s() == 150.0

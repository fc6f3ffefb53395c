import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from senn_ray.cluster_runtime import group
from senn_ray.cluster_runtime.group import GlooGroup, NcclGroup
from senn_ray.cluster_runtime.messages import Seat, StoreAddress
from senn_ray.training.reducer import PeerLostError


def _gang(name: str, size: int, store: StoreAddress) -> list[GlooGroup]:
    def take(rank: int) -> GlooGroup:
        seat = Seat(run=name, epoch=1, rank=rank, size=size, store=store)
        return group.join(seat, host="127.0.0.1", timeout_s=20)

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(take, range(size)))


def _sums(gang: list[GlooGroup], parts: list[torch.Tensor]) -> list[torch.Tensor]:
    with ThreadPoolExecutor(len(gang)) as pool:
        return list(pool.map(lambda r, p: r.sum(p.clone()), gang, parts))


def test_all_replicas_get_the_same_bits_in_every_group() -> None:
    store, address = group.host_store("127.0.0.1")
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(1003, generator=generator) for _ in range(3)]
    first = _sums(_gang("run-a", 3, address), parts)
    again = _sums(_gang("run-b", 3, address), parts)
    for total in first + again:
        assert torch.equal(total, first[0])
    torch.testing.assert_close(first[0], parts[0] + parts[1] + parts[2])
    del store


def test_one_replica_is_heard_by_all() -> None:
    store, address = group.host_store("127.0.0.1")
    gang = _gang("run-e", 3, address)
    with ThreadPoolExecutor(3) as pool:
        heard = pool.map(lambda g: g.broadcast(torch.tensor([g.rank]), 1), gang)
        assert [int(value) for value in heard] == [1, 1, 1]
    del store


def test_the_store_listens_on_its_own_address_only() -> None:
    store, address = group.host_store("127.0.0.1")
    assert address.host == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", address.port), timeout=5)
    del store


def test_a_gone_peer_is_an_error_that_names_the_rank() -> None:
    store, address = group.host_store("127.0.0.1")
    gang = _gang("run-c", 2, address)
    failure: list[BaseException] = []

    def wait_for_peer() -> None:
        try:
            gang[0].sum(torch.ones(2))
        except PeerLostError as error:
            failure.append(error)

    waiting = threading.Thread(target=wait_for_peer)
    waiting.start()
    del gang[1]
    waiting.join(30)
    assert "rank 0 of 2 lost a replica" in str(failure[0])
    del store


def test_a_missing_peer_does_not_block_for_ever() -> None:
    store, address = group.host_store("127.0.0.1")
    seat = Seat(run="run-d", epoch=1, rank=0, size=2, store=address)
    with pytest.raises(PeerLostError, match="rank 0 of 2 did not meet its peers"):
        group.join(seat, host="127.0.0.1", timeout_s=0.5)
    del store


class _Stuck:
    """Stands for NCCL, which waits for ever for a peer that is gone."""

    rank, size = 0, 2
    aborted = False

    def is_completed(self) -> bool:
        return False

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("told", [True, False], ids=["told", "silent too long"])
def test_the_host_does_not_wait_for_ever_in_nccl(told: bool) -> None:
    nccl: Any = _Stuck()
    gang = NcclGroup(nccl, nccl, lambda: told, silence_s=60.0 if told else 0.01)
    with pytest.raises(PeerLostError, match="rank 0 of 2 lost a replica"):
        gang._finish(nccl)
    assert nccl.aborted

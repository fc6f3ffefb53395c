"""Followers of a far journal read every line once."""

from pathlib import Path

import pytest
from pyarrow import fs

from senn_ray.service import verbs
from senn_ray.store import locations, lock, remote
from senn_ray.store.remote import Far, Follower, Mirror
from tests.service.test_verbs import settings


class Counting:
    """Note the names of the files that are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        kept = Far.read

        def read(far: Far, name: str) -> bytes | None:
            self.names.append(name)
            return kept(far, name)

        monkeypatch.setattr(Far, "read", read)

    def since(self) -> list[str]:
        found, self.names = self.names, []
        return found


@pytest.fixture
def far(tmp_path: Path) -> Far:
    (tmp_path / "disk").mkdir()
    files = fs.SubTreeFileSystem(str(tmp_path / "disk"), fs.LocalFileSystem())
    return Far(uri="far://bucket/a", files=files, root="bucket/a")


@pytest.fixture
def mirror(far: Far, tmp_path: Path) -> Mirror:
    return Mirror(far, tmp_path / "mirror", {})


@pytest.fixture
def follower(far: Far, tmp_path: Path) -> Follower:
    (tmp_path / "copy").mkdir()
    return Follower(far, tmp_path / "copy", ("writer.lock",))


def text(follower: Follower) -> list[int]:
    path = follower.update() / "journal.jsonl"
    return [int(line) for line in path.read_bytes().splitlines()]


def record(mirror: Mirror, *numbers: int) -> None:
    for number in numbers:
        mirror.record(f"{number}\n".encode())


def test_only_new_segments_are_read(
    follower: Follower, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(mirror, 0, 1)
    assert text(follower) == [0, 1]
    read = Counting(monkeypatch)
    record(mirror, 2)
    read.since()
    assert text(follower) == [0, 1, 2]
    assert read.since() == ["writer.lock", "journal/000000002.0.jsonl"]
    assert text(follower) == [0, 1, 2]
    assert read.since() == ["writer.lock"]


def test_segments_that_are_joined_after_they_were_seen_are_not_read_again(
    follower: Follower, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(mirror, 0, 1)
    text(follower)
    mirror.compact()
    read = Counting(monkeypatch)
    assert text(follower) == [0, 1]
    assert read.since() == ["writer.lock"]
    record(mirror, 2)
    assert text(follower) == [0, 1, 2]


@pytest.mark.parametrize("later", [(), (4, 5)], ids=["nothing after", "more after"])
def test_segments_that_are_joined_before_they_were_seen_are_found(
    follower: Follower, mirror: Mirror, later: tuple[int, ...]
) -> None:
    record(mirror, 0, 1)
    text(follower)
    record(mirror, 2, 3)
    mirror.compact()
    record(mirror, *later)
    assert text(follower) == [0, 1, 2, 3, *later]


def test_a_segment_that_goes_while_it_is_read_is_in_the_whole(
    follower: Follower, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(mirror, 0, 1, 2)
    kept = Far.read

    def read(far: Far, name: str) -> bytes | None:
        if name == "journal/000000001.jsonl":
            monkeypatch.setattr(Far, "read", kept)
            mirror.compact()
        return kept(far, name)

    monkeypatch.setattr(Far, "read", read)
    assert text(follower) == [0, 1, 2]


def test_small_files_follow_and_go(far: Far, follower: Follower) -> None:
    far.write("writer.lock", b"a")
    assert (follower.update() / "writer.lock").read_bytes() == b"a"
    far.delete("writer.lock")
    assert not (follower.update() / "writer.lock").exists()


def test_a_watch_of_a_job_that_is_over_reads_its_journal_once(
    far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "connect", lambda _: far)
    monkeypatch.setenv(locations.WORK_ENV, str(tmp_path / "work"))
    verbs.grow(settings(), out=far.uri, executor=verbs.in_process)
    read = Counting(monkeypatch)
    ((found, news),) = verbs.watch(far.uri)
    assert (found.state, found.run) == ("complete", far.uri)
    assert news
    assert read.since() == [lock.FILE_NAME, "journal.jsonl"]

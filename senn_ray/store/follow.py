"""Follow the journal of a far run folder: what is known is not read again."""

from pathlib import Path, PurePosixPath

from senn_ray.store.remote import JOURNAL, SEGMENTS, Far, put, read_journal


class Follower:
    """A copy of a far run folder that is brought up to date again and again.

    Journals only grow. Closed segments are named by the number of their first line, so
    those that are missing here can be told by their names; the journal is read as a
    whole only where segments have been joined before they were seen.
    """

    def __init__(self, far: Far, folder: Path, names: tuple[str, ...]) -> None:
        """Begin with nothing.

        Args:
            far: The far folder.
            folder: Where the copy goes; it exists.
            names: Small files beside the journal, which are read every time.
        """
        self._far = far
        self._folder = folder
        self._names = names
        self._lines = 0
        self._bytes = 0

    def update(self) -> Path:
        """Fetch what is new.

        Returns:
            The folder of the copy.
        """
        for name in self._names:
            contents = self._far.read(name)
            if contents is None:
                (self._folder / name).unlink(missing_ok=True)
            else:
                put(self._folder / name, contents)
        segments = sorted(self._far.names(SEGMENTS))
        if not self._follow(segments) or self._far.size(JOURNAL) > self._bytes:
            self._add(read_journal(self._far)[self._bytes :])
        return self._folder

    def _follow(self, segments: list[str]) -> bool:
        """Add the segments that are new; tell whether none is missing in between."""
        for name in segments:
            number = int(PurePosixPath(name).stem)
            if number < self._lines:
                continue
            text = self._far.read(name) if number == self._lines else None
            if text is None:  # It became part of the whole journal.
                return False
            self._add(text)
        return True

    def _add(self, text: bytes) -> None:
        if text:
            with (self._folder / JOURNAL).open("ab") as file:
                file.write(text)
        self._lines += text.count(b"\n")
        self._bytes += len(text)

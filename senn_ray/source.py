"""The source of this package, as a hash: it tells engines of one version apart."""

import functools
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parent
SHOWN_DIGITS = 16


@functools.cache
def code_hash(package: Path = PACKAGE) -> str:
    """Return the first digits of a SHA-256 over Python files, names and contents.

    What has been loaded stays loaded, so the first answer of a process holds.

    Args:
        package: The folder they lie in, at any depth.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py"), key=lambda path: path.as_posix()):
        name, text = path.relative_to(package).as_posix(), path.read_bytes()
        digest.update(f"{name}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()[:SHOWN_DIGITS]

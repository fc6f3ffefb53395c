"""Derived seeds: every random stream has a name and follows from one root seed."""

import hashlib


def derive(root: int, *names: object) -> int:
    """Derive a 63-bit seed from a root seed and the names of a stream.

    Streams with different names are independent for all practical purposes, and
    adding a stream never changes another one.

    Args:
        root: The root seed.
        names: What the stream is for, such as ``("order", step)``.

    Returns:
        A non-negative integer below 2**63.
    """
    text = repr((root, *names)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1

"""Freezing: the protocol of a job on its data, before the first run."""

import hashlib
from typing import TYPE_CHECKING, Any

from senn_ray.core.files import hash_arrays
from senn_ray.search import protocol
from senn_ray.search.plan import Plan, senn_keys
from senn_ray.search.specs import data_of

if TYPE_CHECKING:
    from senn_ray.data.examples import RawData


def freeze(plan: Plan, raw: "RawData") -> dict[str, Any]:
    """Return what ``protocol.json`` holds: what a job will do, and on which examples."""
    from senn_ray.data.codes import labels_to_json

    return protocol.freeze(
        plan,
        data_sha256=hash_of(raw),
        split=_split(plan, raw),
        labels=labels_to_json(raw.labels) if raw.labels else None,
    )


def hash_of(raw: "RawData") -> str:
    """Return the SHA-256 of the arrays of a data set, wherever they are kept."""
    from senn_ray.data.standardisation import chunks_of

    digest = hashlib.sha256()
    # Features in a file have another order there, and may be larger than memory.
    chunks = [slice(None)] if raw.rows is None else chunks_of(raw.rows)
    for chunk in chunks:
        digest.update(raw.train_x[chunk].data.cast("B"))
    kept = raw.encoding
    extra = () if kept is None else (kept.origin, kept.unit)
    for array in (raw.train_y, raw.test_x, raw.test_y, *extra):
        digest.update(array.data.cast("B"))
    return digest.hexdigest()


def _split(plan: Plan, raw: "RawData") -> dict[str, Any]:
    """Tell which examples train and which validate: a hash, and how many there are."""
    from senn_ray.data.splits import split

    # The cells of a scan have subsets of their own; all other runs share one.
    chosen = {repr(data): data for data in (data_of(plan, k) for k in senn_keys(plan))}
    parts = [split(raw, data) for data in chosen.values()]
    indices = [array for part in parts for array in (part.train, part.val)]
    return {
        "sha256": hash_arrays(*indices),
        "n_train": [len(part.train) for part in parts],
        "n_val": len(parts[0].val),
    }

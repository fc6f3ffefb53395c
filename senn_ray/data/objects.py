"""Objects that hold data: what factories return and what Python users pass.

Arrays, sparse matrices, data frames (pandas, polars), Arrow tables, torch data sets and
loaders; one of them, a training and a test part, or the four arrays X_train, y_train,
X_test, y_test. Nothing is imported that the user has not.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data.assemble import Part, Told, assemble
from senn_ray.data.examples import RawData
from senn_ray.data.factory import users_line
from senn_ray.data.files import part_of
from senn_ray.data.labels import given
from senn_ray.data.partition import random_rows
from senn_ray.data.tables import Table, in_memory
from senn_ray.data.tabular import from_tables

PAIR, FOUR = 2, 4
CHANNELS = {1, 3, 4}
FORMS = (
    "return (train, test), each a pair (features, labels), a data frame, an Arrow table "
    "or a torch data set; or one of these alone, of which a test part is taken"
)


def from_object(name: str, found: Any, config: DataConfig, cache: Path) -> RawData:
    """Make a data set of whatever holds one.

    Args:
        name: What messages call it.
        found: The object.
        config: The section ``data`` of the settings.
        cache: Folder of files of features, passed on.

    Raises:
        DataError: if it is not understood, or does not fit together.
    """
    try:
        parts = _parts(name, found)
        tables = {part: _as_table(name, value) for part, value in parts.items()}
        known = {part: table for part, table in tables.items() if table is not None}
        if len(known) == len(tables):
            return from_tables(name, known, config, cache=cache)
        _require_alike(name, known)
        arrays = {part: _arrays(name, value) for part, value in parts.items()}
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"{name}: must {FORMS}; {type(error).__name__}: {error}{users_line(error)}"
        ) from error
    return _from_arrays(name, arrays, config)


def _require_alike(name: str, tables: Mapping[str, Table]) -> None:
    if tables:
        raise DataError(f"{name}: one part is a table and the other is not; {FORMS}")


def _parts(name: str, found: Any) -> dict[str, Any]:
    """Tell the parts of what was returned: train and test, or all."""
    if isinstance(found, Mapping) and not hasattr(found, "to_numpy"):
        parts = {part_of(str(key)): value for key, value in found.items()}
        if "train" in parts:
            return {part: value for part, value in parts.items() if part}
        return {"all": pa.table({k: _plain(v) for k, v in found.items()})}
    if not isinstance(found, tuple | list):
        return {"all": found}
    if len(found) == FOUR:
        return _of_four(name, found)
    if len(found) != PAIR:
        raise DataError(f"{name} must {FORMS}; it returned {len(found)} things")
    return {"all": found} if _is_pair(found) else {"train": found[0], "test": found[1]}


def _of_four(name: str, found: Any) -> dict[str, Any]:
    lengths = [_length(part) for part in found]
    narrow = [_ndim(part) <= 1 or _shape(part)[1:] == (1,) for part in found]
    sklearn = lengths[0] == lengths[2] and lengths[1] == lengths[3]
    if sklearn and (lengths[0] != lengths[1] or (narrow[2] and not narrow[1])):
        raise DataError(
            f"{name} returned four things in the order of train_test_split, X_train, "
            "X_test, y_train, y_test; return (X_train, y_train), (X_test, y_test)"
        )
    return {"train": (found[0], found[1]), "test": (found[2], found[3])}


def _is_pair(found: Any) -> bool:
    """Tell features and labels of one part from a training and a test part."""
    x, y = found
    if isinstance(x, tuple | list) and len(x) == PAIR and not np.isscalar(x[0]):
        return False
    if any(_is_frame(part) and _ndim(part) != 1 for part in (x, y)):
        return _is_frame(x) and _ndim(y) <= 1 and _length(x) == _length(y)
    if hasattr(x, "__getitem__") and hasattr(x, "__len__"):
        return _ndim(y) >= 1 and _length(x) == _length(y) and hasattr(x, "shape")
    return False


def _is_frame(part: Any) -> bool:
    return hasattr(part, "__arrow_c_stream__") or hasattr(part, "to_arrow")


def _shape(part: Any) -> tuple[int, ...]:
    """Return the shape of an array, frame or plain list; of other things nothing."""
    found = getattr(part, "shape", None)
    if found is None and isinstance(part, list | tuple):
        try:
            found = np.shape(np.asarray(part, dtype=object))
        except ValueError:  # Arrays of unlike shapes.
            found = (len(part),)
    return () if found is None else tuple(found)


def _ndim(part: Any) -> int:
    if isinstance(part, pa.Array | pa.ChunkedArray):
        return 1
    return len(_shape(part))


def _length(part: Any) -> int:
    shape = _shape(part)
    return int(shape[0]) if shape else len(part)


def _as_table(name: str, part: Any) -> Table | None:
    """Take a data frame, or one with a series of labels, as a table."""
    if isinstance(part, tuple | list) and len(part) == PAIR and _is_frame(part[0]):
        frame, labels = part
        if _ndim(frame) == 1:
            return None
        table = _arrow(frame)
        column = str(getattr(labels, "name", None) or "label")
        column = column if column not in table.column_names else "label"
        values = pa.array(_plain(labels)) if _ndim(labels) == 1 else None
        if values is None:
            return None
        table = table.append_column("label", values)
        return in_memory(name, table)
    if _is_frame(part) and not isinstance(part, tuple | list):
        return in_memory(name, _arrow(part))
    return None


def _arrow(frame: Any) -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    if hasattr(frame, "to_arrow"):
        return frame.to_arrow()
    if type(frame).__module__.partition(".")[0] == "pandas":
        return pa.Table.from_pandas(frame, preserve_index=False)
    return pa.table(frame)


def _plain(values: Any) -> Any:
    """Return a column as something that Arrow takes."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return (
            values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        )
    if hasattr(values, "to_arrow"):
        return values.to_arrow()
    if type(values).__module__.partition(".")[0] == "pandas":
        return pa.Array.from_pandas(values)
    return np.asarray(values)


def _arrays(name: str, part: Any) -> Part:
    """Return features and labels of one part."""
    if isinstance(part, tuple | list) and len(part) == PAIR:
        return _features(name, part[0]), np.asarray(part[1])
    tensors = getattr(part, "tensors", None)
    if tensors is not None and len(tensors) == PAIR:
        return np.asarray(tensors[0]), np.asarray(tensors[1])
    if hasattr(part, "batch_sampler") and hasattr(part, "dataset"):
        return _loader(name, part)
    return _items(name, part)


def _features(name: str, x: Any) -> np.ndarray:
    if hasattr(x, "toarray"):
        return np.asarray(x.toarray())
    array = np.asarray(x)
    if array.dtype == object:
        try:
            return np.stack([np.asarray(row) for row in x])
        except ValueError as error:
            raise DataError(
                f"{name}: features are of unequal shape: {error}"
            ) from error
    return array


def _loader(name: str, loader: Any) -> Part:
    """Read a loader: its data set in order, or its batches where it makes its own."""
    import torch

    own = loader.collate_fn is not torch.utils.data.default_collate
    if not own and hasattr(loader.dataset, "__getitem__"):
        return _arrays(name, loader.dataset)
    batches = list(loader)
    pairs = [(np.asarray(batch[0]), np.asarray(batch[1])) for batch in batches]
    xs, ys = zip(*pairs, strict=True)
    return np.concatenate(xs), np.concatenate(ys)


def _items(name: str, part: Any) -> Part:
    """Read a data set item by item."""
    if not (hasattr(part, "__len__") and hasattr(part, "__getitem__")):
        if not isinstance(part, Iterable):
            raise DataError(f"{name} must {FORMS}; it returned {part!r:.80}")
        items = list(part)
    else:
        items = [part[i] for i in range(len(part))]
    if not items:
        raise DataError(f"{name}: a part has no examples")
    if isinstance(items[0], Mapping):
        raise DataError(
            f"{name}: items are dictionaries with {', '.join(map(str, items[0]))}; "
            "return pairs (features, label)"
        )
    xs, ys = zip(*((item[0], item[1]) for item in items), strict=True)
    try:
        x = np.stack([np.asarray(one) for one in xs])
    except ValueError as error:
        raise DataError(f"{name}: features are of unequal shape: {error}") from error
    if x.dtype == object:
        raise DataError(
            f"{name}: features are {type(xs[0]).__name__}; make arrays or tensors of them"
        )
    return x, np.stack([np.asarray(one) for one in ys])


def _from_arrays(name: str, parts: dict[str, Part], config: DataConfig) -> RawData:
    notes = []
    parts = {part: (_channels_first(x, notes), y) for part, (x, y) in parts.items()}
    if "validation" in parts:
        notes.append(
            "the validation part is not used: it is taken from the training part"
        )
    train = parts.get("train") or parts["all"]
    test = parts.get("test")
    if test is None:
        if len(train[0]) != len(train[1]):
            raise DataError(
                f"{name}: there are {len(train[0])} examples and {len(train[1])} labels"
            )
        chosen = random_rows(name, given(train[1]).values, config)
        notes.append(
            f"there is no test part: {int(chosen.sum())} of {len(chosen)} examples are "
            "kept for it, at random and stratified (data.test_fraction)"
        )
        test = (train[0][chosen], train[1][chosen])
        train = (train[0][~chosen], train[1][~chosen])
    told = Told(
        config=config,
        notes=tuple(dict.fromkeys(notes)),
        own_split="test" not in parts,
    )
    return assemble(name, train=train, test=test, told=told)


def _channels_first(x: np.ndarray, notes: list[str]) -> np.ndarray:
    """Turn images [n, height, width, channels] as Pillow and Keras have them."""
    if x.ndim != 4 or x.shape[3] not in CHANNELS or x.shape[1] in CHANNELS:
        return x
    notes.append(
        f"images of shape {list(x.shape[1:])} are taken as height, width, channels, and "
        f"turned to channels first: {[x.shape[3], x.shape[1], x.shape[2]]}"
    )
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))

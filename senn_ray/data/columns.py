"""Columns: from typed columns of a table to inputs of a network.

What a column becomes is fitted on the training part (``fit``) and kept as plain data
(``codes.Column``); ``encode`` does it, for every part and for rows to predict. Numbers stay
numbers, and are standardised later as all features are. A missing number is the mean of
the others, beside an input that says it is missing. A category is one-hot: its rare and
unseen levels share an input, if there are rare ones; else an unseen level is all zeros.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
import pyarrow as pa

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data.arrow import pc
from senn_ray.data.codes import MISSING, Column, Kind
from senn_ray.data.layout import Layout, shown
from senn_ray.data.tables import Batch, Table

TEXTS = {
    "text", "sentence", "review", "comment", "document", "prompt", "caption", "abstract",
    "tweet",
}  # fmt: skip
"""Names of columns of free text, however few different ones there are."""
MOST_TEXTS = 20_000
"""A category has fewer levels than this."""
ENOUGH = 20
"""Rows from which on a column that never repeats itself is no category."""
LEAST = (2, 5)
"""Training examples that a level of a category needs, in fewer than 100 rows, and else."""
SAMPLE = 20_000_000
"""Most numbers that quantiles are taken of, in all columns together."""
QUANTILES = 101
KINDS: dict[Kind, tuple[Callable[[pa.DataType], bool], ...]] = {
    "number": (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    "truth": (pa.types.is_boolean,),
    "time": (
        pa.types.is_date,
        pa.types.is_timestamp,
        pa.types.is_time,
        pa.types.is_duration,
    ),
    "category": (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
    ),
}
"""Features by the types of columns."""
FURTHEST = 1e-3
"""Probability that the ends of quantiles stand for: 3.1 standard deviations."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Columns of a table as inputs."""

    columns: tuple[Column, ...]
    dtype: np.dtype
    """Of the inputs together, before they are standardised."""
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example: that of a tensor column, if it is alone."""
        if len(self.columns) == 1 and self.columns[0].kind == "list":
            return self.columns[0].shape
        return (sum(column.width for column in self.columns),)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are read."""
        return tuple(column.name for column in self.columns)


@dataclass
class _Seen:
    """What one pass over the training part finds."""

    rows: int = 0
    missing: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Of each number, truth or time: how many lack it."""
    total: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Their sum, from ``origin``."""
    origin: np.ndarray | None = None
    sample: list[np.ndarray] = field(default_factory=list)
    levels: dict[str, Counter[str]] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


def fit(train: Table, layout: Layout, config: DataConfig) -> Fitted:
    """Look at the training part, and choose what each feature column becomes.

    Args:
        train: The training part.
        layout: Which columns are features.
        config: ``categories``, ``max_levels``, ``numeric``.

    Raises:
        DataError: if a column that was asked for cannot be a feature, or none is left.
    """
    kinds, left_out = _kinds(train, layout, config)
    numbers = [n for n, kind in kinds.items() if kind in {"number", "truth", "time"}]
    seen = _look(train, kinds, numbers, config)
    columns, wordy, constant = [], [], []
    for name, kind in kinds.items():
        if kind == "list":
            columns.append(Column(name=name, kind=kind, shape=seen.shapes[name]))
        elif kind == "category":
            counts = seen.levels[name]
            asked = layout.asked or name in config.categories
            if not asked and _is_text(name, counts, seen.rows):
                wordy.append(name)
                continue
            found = _category(name, counts, seen.rows, config.max_levels)
            (columns if found.width > 1 else constant).append(found)
    position = {name: at for at, name in enumerate(numbers)}
    sample = np.concatenate(seen.sample) if seen.sample else np.zeros((0, len(numbers)))
    for name in numbers:
        at, kind = position[name], kinds[name]
        if seen.missing[at] == seen.rows:
            constant.append(Column(name=name, kind=kind))
            continue
        wanted = config.numeric == "quantile" and kind != "truth"
        columns.append(_number(name, kind, seen, at, sample[:, at] if wanted else None))
    if wordy:
        left_out.append(
            f"columns left out, as they hold texts or identifiers: {shown(wordy)} "
            "(--data.features names columns that are to be used all the same)"
        )
    if constant:
        names = [column.name for column in constant]
        left_out.append(f"columns left out, as they say nothing: {shown(names)}")
    if not columns:
        raise DataError(
            f"{train.name}: no feature column is left; {'; '.join(left_out)}; texts are "
            "not for this tool: make numbers of them (counts, embeddings) first"
        )
    order = {name: at for at, name in enumerate(kinds)}
    columns.sort(key=lambda column: order[column.name])
    return Fitted(
        columns=tuple(columns),
        dtype=_dtype(train.schema, columns),
        notes=(*left_out, *_told(columns)),
    )


def encode(columns: Sequence[Column], batch: Batch, dtype: np.dtype) -> np.ndarray:
    """Return rows of a table as inputs [n, d].

    Args:
        columns: What becomes of each column; images are decoded elsewhere.
        dtype: Type of the inputs.
        batch: The rows; one of another kind than in the
            training part is a ``DataError``.
    """
    width = sum(column.width for column in columns)
    inputs = np.zeros((len(batch.table), width), dtype)
    start = 0
    for column in columns:
        end = start + column.width
        if column.kind == "category":
            _one_hot(column, batch, inputs[:, start:end])
        elif column.kind == "list":
            inputs[:, start:end] = _list(batch, column.name, column.shape)
        else:
            values = _values(batch, column.name, column.kind)
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                missing = np.isnan(values)
                values = np.where(missing, column.fill, values)
                _refuse_infinite(batch, column.name, values)
                if column.indicator:
                    inputs[:, start + 1] = missing
            if column.points:
                values = np.interp(values, column.points, column.scores)
            inputs[:, start] = values
        start = end
    return inputs


def unseen(columns: Sequence[Column], table: Table) -> Iterator[str]:
    """Say which categories of a table have levels that the training part lacked."""
    strange: dict[str, Counter[str]] = {column.name: Counter() for column in columns}
    for batch in table.batches([column.name for column in columns]):
        for column in columns:
            texts = _texts(batch, column.name)
            known = pc.is_in(texts, pa.array(column.levels, pa.string()))
            strange[column.name].update(texts.filter(pc.invert(known)).to_pylist())
    for column in columns:
        if counts := strange[column.name]:
            names = shown([level or "(missing)" for level, _ in counts.most_common()])
            what = "rare or unseen" if column.rest else "unseen"
            yield f"{counts.total()} rows have {what} levels of {column.name}: {names}"


def _kinds(
    train: Table, layout: Layout, config: DataConfig
) -> tuple[dict[str, Kind], list[str]]:
    """Tell what kind of feature each column is by its type, and which ones are none."""
    kinds: dict[str, Kind] = {}
    unfit, rows = [], []
    for name in layout.features:
        kind = _kind(train.schema.field(name).type)
        if kind is None:
            unfit.append(name)
        elif name in config.categories:
            kinds[name] = "category"
        elif kind == "number" and not layout.asked and _is_row_number(train, name):
            rows.append(name)
        else:
            kinds[name] = kind
    if unfit and layout.asked:
        types = [f"{name} is {train.schema.field(name).type}" for name in unfit]
        raise DataError(
            f"{train.name}: column {shown(types)}; features are numbers, words, truth "
            "values, times, or lists of numbers"
        )
    told = []
    if unfit:
        told.append(
            f"columns left out, as they hold no numbers or words: {shown(unfit)}"
        )
    if rows:
        told.append(
            f"columns left out, as they number the rows: {shown(rows)} (--data.features "
            "names columns that are to be used all the same)"
        )
    return kinds, told


def _kind(kind: pa.DataType) -> Kind | None:
    for known, tests in KINDS.items():
        if any(test(kind) for test in tests):
            return known
    if isinstance(kind, pa.FixedShapeTensorType):
        return "list"
    inner = _kind(kind.value_type) if hasattr(kind, "value_type") else None
    if pa.types.is_dictionary(kind):
        return "category" if inner else None
    return "list" if inner in {"number", "truth"} else None


def _is_row_number(train: Table, name: str) -> bool:
    """Tell whether a column only numbers the rows, by its name and its values."""
    low = name.lower()
    named = low in {"", "id", "index", "unnamed: 0", "row", "rowid", "row_id"}
    kind = train.schema.field(name).type
    if not named or not pa.types.is_integer(kind) or len(train) < ENOUGH:
        return False
    return len(pc.unique(train.column(name))) == len(train)


def _look(
    train: Table, kinds: dict[str, Kind], numbers: Sequence[str], config: DataConfig
) -> _Seen:
    """Count, in one pass over the training part, what the columns hold."""
    seen = _Seen(missing=np.zeros(len(numbers)), total=np.zeros(len(numbers)))
    seen.levels = {
        name: Counter() for name, kind in kinds.items() if kind == "category"
    }
    lists = [name for name, kind in kinds.items() if kind == "list"]
    wanted = config.numeric == "quantile" and bool(numbers)
    most = max(1000, SAMPLE // max(1, len(numbers)))
    every = max(1, -(-len(train) // most))
    for batch in train.batches(list(kinds)):
        if numbers:
            block = _block(batch, numbers, kinds)
            known = np.isfinite(block)
            seen.missing += (~known).sum(0)
            if seen.origin is None:
                # Sums around a typical value keep the digits of far columns.
                seen.origin = np.where(
                    known.any(0), block[known.argmax(0), range(len(numbers))], 0
                )
            seen.total += np.where(known, block - seen.origin, 0.0).sum(0)
            if wanted:
                seen.sample.append(block[(-seen.rows) % every :: every])
        for name, counts in seen.levels.items():
            if len(counts) <= MOST_TEXTS:
                for pair in pc.value_counts(_texts(batch, name)):
                    counts[pair["values"].as_py()] += pair["counts"].as_py()
        for name in lists:
            if name not in seen.shapes:
                seen.shapes[name] = _shape(batch, name)
        seen.rows += len(batch.table)
    return seen


def _block(batch: Batch, numbers: Sequence[str], kinds: dict[str, Kind]) -> np.ndarray:
    """Return several columns of numbers as floats [n, k], missing ones as NaN."""
    block = np.empty((len(batch.table), len(numbers)))
    for at, name in enumerate(numbers):
        block[:, at] = values = _values(batch, name, kinds[name])
        if values.dtype.kind == "f" and np.isinf(values).any():
            _refuse_infinite(batch, name, values)
    return block


def _values(batch: Batch, name: str, kind: Kind) -> np.ndarray:
    """Return a column of numbers [n] in its own type, missing ones as NaN."""
    column = batch.table[name]
    try:
        if kind == "time":
            return _seconds(column)
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            to = pa.float64() if kind == "number" else pa.bool_()
            column = column.cast(to)
            if kind == "truth":
                column = column.cast(pa.uint8())
        if column.null_count:
            column = column.cast(pa.float64(), safe=False)
    except pa.ArrowInvalid as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{batch.place}: column {name} was {kind}s in the training part, but holds "
            f"another kind of value here: {reason}"
        ) from error
    return column.to_numpy()


def _seconds(column: pa.ChunkedArray) -> np.ndarray:
    """Return times as seconds: since 1970 UTC, of the day, or of a duration."""
    kind = column.type
    if pa.types.is_time(kind):
        column = column.cast(pa.time64("us"))
    elif pa.types.is_duration(kind):
        column = column.cast(pa.duration("us"), safe=False)
    else:
        zone = kind.tz if pa.types.is_timestamp(kind) else None
        column = column.cast(pa.timestamp("us", zone), safe=False)
    micros = column.cast(pa.int64())
    missing = micros.null_count
    values = (micros.fill_null(0) if missing else micros).to_numpy() / 1e6
    return np.where(column.is_null().to_numpy(), np.nan, values) if missing else values


def _texts(batch: Batch, name: str) -> pa.ChunkedArray:
    """Return a column as texts, with that of a missing value."""
    column = batch.table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not pa.types.is_string(column.type):
        column = column.cast(pa.string())
    return column.fill_null(MISSING)


def _is_text(name: str, counts: Counter[str], rows: int) -> bool:
    several = len(counts) > rows / 2 and rows >= ENOUGH
    return name.lower() in TEXTS or several or len(counts) > MOST_TEXTS


def _category(name: str, counts: Counter[str], rows: int, most: int) -> Column:
    least = LEAST[rows >= 100]
    ranked = sorted(counts, key=lambda level: (-counts[level], level))
    kept = [level for level in ranked if counts[level] >= least][:most]
    rest = len(kept) < len(counts)
    if len(kept) + 1 == len(counts) and MISSING not in counts and len(kept) < most:
        # One rare level alone needs no name, but keeps it.
        kept, rest = ranked, False
    levels = sorted(kept, key=lambda level: (level == MISSING, level))
    return Column(name=name, kind="category", levels=tuple(levels), rest=rest)


def _number(
    name: str, kind: Kind, seen: _Seen, at: int, sample: np.ndarray | None
) -> Column:
    origin = 0.0 if seen.origin is None else float(seen.origin[at])
    missing = int(seen.missing[at])
    mean = origin + float(seen.total[at]) / max(1.0, seen.rows - missing)
    points, scores = (
        ((), ()) if sample is None else _quantiles(sample[np.isfinite(sample)])
    )
    return Column(
        name=name,
        kind=kind,
        fill=mean,
        indicator=bool(missing),
        points=points,
        scores=scores,
    )


def _quantiles(values: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return numbers and the standard normal values that they become; between: linear.

    A number that is several quantiles at once gets the mean of their probabilities.
    """
    chance = np.linspace(0, 1, QUANTILES)
    points, which = np.unique(np.quantile(values, chance), return_inverse=True)
    if len(points) < 3:
        return (), ()
    means = np.bincount(which, chance) / np.bincount(which)
    normal = NormalDist()
    clipped = np.clip(means, FURTHEST, 1 - FURTHEST).tolist()
    return tuple(points.tolist()), tuple(normal.inv_cdf(p) for p in clipped)


def _one_hot(column: Column, batch: Batch, inputs: np.ndarray) -> None:
    """Write the inputs of a category."""
    found = pc.index_in(
        _texts(batch, column.name), pa.array(column.levels, pa.string())
    )
    numbers = found.fill_null(len(column.levels)).to_numpy()
    known = numbers < (len(column.levels) + column.rest)
    inputs[np.flatnonzero(known), numbers[known]] = 1


def _shape(batch: Batch, name: str) -> tuple[int, ...]:
    kind = batch.table[name].type
    if isinstance(kind, pa.FixedShapeTensorType):
        return tuple(kind.shape)
    if pa.types.is_fixed_size_list(kind):
        return (kind.list_size,)
    first = batch.table[name][0].as_py()
    if not first:
        raise DataError(f"{batch.place}: row {batch.rows[0]} of column {name} is empty")
    return (len(first),)


def _list(batch: Batch, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return a column of lists of one length as rows [n, length]."""
    column, length = batch.table[name], int(np.prod(shape))
    if column.null_count:
        raise DataError(
            f"{batch.place}: column {name} has {column.null_count} nulls; drop these rows"
        )
    parts = []
    for chunk in column.chunks:
        plain = chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
        lengths = pc.list_value_length(plain)
        wrong = pc.fill_null(pc.not_equal(lengths, length), fill_value=True).to_numpy(
            zero_copy_only=False
        )
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            row = batch.rows[at + sum(len(part) for part in parts)]
            raise DataError(
                f"{batch.place}: column {name} has lists of unequal length: {length} "
                f"before, {lengths[at]} in row {row}"
            )
        values = plain.flatten()
        if values.null_count:
            raise DataError(
                f"{batch.place}: column {name} has {values.null_count} nulls in its lists"
            )
        if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
            values = values.cast(pa.float64())
        parts.append(values.to_numpy(zero_copy_only=False).reshape(-1, length))
    return np.concatenate(parts)


def _refuse_infinite(batch: Batch, name: str, values: np.ndarray) -> None:
    bad = np.flatnonzero(np.isinf(values))
    if len(bad):
        raise DataError(
            f"{batch.place}: column {name} has infinite values, the first in row "
            f"{batch.rows[bad[0]]}; repair them, or leave them empty"
        )


def _dtype(schema: pa.Schema, columns: Sequence[Column]) -> np.dtype:
    """Return the type that holds all inputs."""
    return np.result_type(*(_dtype_of(schema.field(c.name).type, c) for c in columns))


def _dtype_of(kind: pa.DataType, column: Column) -> np.dtype:
    if column.kind in {"category", "truth"} and not column.indicator:
        return np.dtype(np.uint8)
    if isinstance(kind, pa.FixedShapeTensorType) or column.kind == "list":
        kind = kind.value_type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return np.dtype(np.float64)
    dtype = np.dtype(kind.to_pandas_dtype())
    if column.indicator or column.points:
        return np.result_type(dtype, np.float32)
    return dtype


def _told(columns: Sequence[Column]) -> Iterator[str]:
    """Say what was made of columns."""
    words = [c for c in columns if c.kind == "category"]
    if words:
        what = [f"{c.name} ({c.width})" for c in words]
        yield f"categories, with their number of inputs: {shown(what)}"
    filled = [c.name for c in columns if c.indicator]
    if filled:
        yield f"missing numbers are means, with an input that says so: {shown(filled)}"

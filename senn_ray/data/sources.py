"""What all sources of data share: from features and labels to checked ``RawData``."""

import numpy as np

from senn_ray.core.errors import DataError
from senn_ray.data.examples import RawData

VAL_PER_CLASS = (20, 500)
"""Least and most validation examples per class, if nothing is said."""
VAL_REGRESSION = (100, 5000)
SHARE, SHARE_OF_FEW = 10, 4
"""A tenth is held out; of few examples up to a quarter, for a loss that means something."""

Part = tuple[np.ndarray, np.ndarray]
"""Features [n, ...] and labels [n] or [n, targets] of one part of a data set."""


def assemble(
    name: str,
    *,
    train: Part,
    test: Part,
    feature_shape: tuple[int, ...],
    val_per_class: int | None = None,
) -> RawData:
    """Check two parts of a data set and put them together.

    Integer labels make a classification (classes 0, 1, ..., C - 1, each with training
    examples), floating-point labels a regression.

    Args:
        name: What messages call the data set.
        train: Official training part.
        test: Official test part.
        feature_shape: Shape of one example, channels first.
        val_per_class: Default share of validation; if left out, 10 % of the rarest
            class, at most 500, and at least 20 if that is not more than a quarter (of
            a regression: 10 % of all, at most 5000, and at least 100).

    Raises:
        DataError: if lengths, shapes, labels or tasks do not fit together.
    """
    classes = np.issubdtype(train[1].dtype, np.integer)
    if classes != np.issubdtype(test[1].dtype, np.integer):
        raise DataError(
            f"{name}: training labels are {train[1].dtype}, test labels "
            f"{test[1].dtype}; use integers (classes) or floats (regression) in both"
        )
    parts = [
        (_features(name, which, part), _labels(name, which, part))
        for which, part in (("training", train), ("test", test))
    ]
    (train_x, train_y), (test_x, test_y) = parts
    if train_x.shape[1] != test_x.shape[1] or train_y.shape[1:] != test_y.shape[1:]:
        raise DataError(
            f"{name}: a training example has {train_x.shape[1]} features, a test "
            f"example {test_x.shape[1]}; both parts need the same shape"
        )
    if classes:
        counts = _class_counts(name, train_y, test_y)
        outputs, share = len(counts), _share(min(counts), VAL_PER_CLASS)
    else:
        outputs = train_y.shape[1]
        share = _share(len(train_y), VAL_REGRESSION)
    return RawData(
        name=name,
        task="classification" if classes else "regression",
        num_outputs=outputs,
        feature_shape=feature_shape,
        train_x=train_x,
        train_y=train_y,
        test_x=test_x,
        test_y=test_y,
        default_val_per_class=val_per_class or share,
    )


def _share(count: int, bounds: tuple[int, int]) -> int:
    least, most = bounds
    return max(1, min(most, max(count // SHARE, min(least, count // SHARE_OF_FEW))))


def _features(name: str, which: str, part: Part) -> np.ndarray:
    x, y = part
    if len(x) == 0 or len(x) != len(y):
        raise DataError(
            f"{name}: the {which} part has {len(x)} examples and {len(y)} labels; "
            "it needs as many of one as of the other, and at least one"
        )
    if x.dtype.kind not in "uifb":
        raise DataError(f"{name}: {which} features are {x.dtype}; numbers are needed")
    return plain_features(x)


def plain_features(x: np.ndarray) -> np.ndarray:
    """Return features [n, ...] as rows [n, d] of uint8 or float32."""
    flat = x.reshape(len(x), -1)
    return flat if flat.dtype == np.uint8 else flat.astype(np.float32, copy=False)


def _labels(name: str, which: str, part: Part) -> np.ndarray:
    y = part[1]
    if np.issubdtype(y.dtype, np.integer) and y.ndim == 1:
        return y.astype(np.int64, copy=False)
    if not np.issubdtype(y.dtype, np.floating) or y.ndim > 2:
        raise DataError(
            f"{name}: {which} labels are {y.dtype} of shape {list(y.shape)}; they must "
            "be integers [n] (classes) or floats [n] or [n, targets] (regression)"
        )
    if not np.isfinite(y).all():
        raise DataError(f"{name}: {which} labels hold NaN or infinite values")
    return y.reshape(len(y), -1).astype(np.float32, copy=False)


def _class_counts(name: str, train_y: np.ndarray, test_y: np.ndarray) -> list[int]:
    low = min(int(train_y.min()), int(test_y.min()))
    if low < 0:
        raise DataError(f"{name}: labels must be 0, 1, 2, ..., got {low}")
    # A stray label such as 2**40 must be an error, not an array of that length.
    top = int(train_y.max())
    if top >= len(train_y):
        raise DataError(
            f"{name}: label {top} among {len(train_y)} training examples leaves "
            "classes without examples; number the classes 0, 1, 2, ... without gaps"
        )
    counts = np.bincount(train_y).tolist()
    if 0 in counts:
        raise DataError(
            f"{name}: class {counts.index(0)} has no training example; number the "
            "classes 0, 1, 2, ... without gaps"
        )
    if len(counts) == 1:
        raise DataError(
            f"{name}: all training labels are 0, which leaves nothing to learn; give at "
            "least two classes, or labels that are floats for a regression"
        )
    if int(test_y.max()) > top:
        raise DataError(
            f"{name}: class {int(test_y.max())} is in the test part but not in the "
            "training part"
        )
    return counts
